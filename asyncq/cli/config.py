"""`asyncq config`: every setting, its value and where it came from."""

from __future__ import annotations

from typing import Any

import click

from asyncq.cli import output
from asyncq.cli.options import json_option, loaded_from, settings_options
from asyncq.core.settings import CATALOGUE, Loaded


@click.command("config", short_help="Show every setting and where it came from.")
@settings_options()
@json_option
def config_command(as_json: bool, **flags: Any) -> None:
    """Show every setting, its value and where it came from; passwords are not shown."""
    loaded = loaded_from(flags)
    if as_json:
        output.data_json(as_object(loaded))
        return
    rows = [
        (
            setting.key,
            _with_unit(setting.shown(getattr(loaded.settings, setting.name)), setting.unit),
            loaded.origins[setting.name],
        )
        for setting in CATALOGUE
    ]
    output.data(output.table(("setting", "value", "from"), rows))


def _with_unit(shown: str, unit: str) -> str:
    return f"{shown} {unit}".rstrip() or "-"


def as_object(loaded: Loaded) -> dict[str, dict[str, Any]]:
    """Key of the setting to {"value", "unit", "from"}; a secret's value is redacted."""
    found = {}
    for setting in CATALOGUE:
        value = getattr(loaded.settings, setting.name)
        if setting.secret and value is not None:
            value = setting.shown(value)
        found[setting.key] = {"value": value, "unit": setting.unit, "from": loaded.origins[setting.name]}
    return found
