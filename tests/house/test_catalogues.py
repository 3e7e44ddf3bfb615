"""What the rules read from the text is what the program has: they are not blind to a row or an option."""

import click

from asyncq.cli.main import asyncq_group
from asyncq.core.settings import CATALOGUE
from tests.house.catalogue_rules import Row, rows
from tests.house.plan import OPTIONS
from tests.house.source import on_disk


def test_the_rows_read_are_those_of_the_catalogue() -> None:
    read = rows(on_disk().modules["core.settings"])

    assert [Row(0, row.name, row.key, row.variable) for row in CATALOGUE] == [
        Row(0, row.name, row.key, row.variable) for row in read
    ]


def test_the_options_listed_are_those_of_the_commands() -> None:
    found = {
        max(option.opts, key=len)
        for command in asyncq_group.commands.values()
        for option in command.params
        if isinstance(option, click.Option)
    }

    assert set(OPTIONS) == found - {setting.flag for setting in CATALOGUE}
