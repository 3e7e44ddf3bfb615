"""Flags of the command line, made from the catalogue of settings, and the settings made from what was given.

Used by every command. Values are read by `core.settings`, not by click, so that a wrong flag, a wrong variable and a
wrong line of a file are refused with the same sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import click

from asyncq.core.settings import CATALOGUE, Loaded, Setting, load

Command = TypeVar("Command", bound=Callable[..., Any])

# What a command needs to find Redis and to say what went wrong.
REDIS: Final = ("redis_url", "redis_server", "log_level")


@dataclass(slots=True)
class Session:
    """What the error fence wants to know of the command that ran: whether tracebacks are wanted."""

    debug: bool = False


def settings_options(*names: str) -> Callable[[Command], Command]:
    """Decorator: give a command the flags of these settings, in the catalogue's order; without names, of all.

    A command takes only flags that it uses; variables and files may say more.
    """
    chosen = [setting for setting in CATALOGUE if not names or setting.name in names]

    def add(command: Command) -> Command:
        for setting in reversed(chosen):
            command = _option(setting)(command)
        return command

    return add


def _option(setting: Setting) -> Callable[[Command], Command]:
    default = f"{setting.shown(setting.default)} {setting.unit}".strip()
    facts = [setting.variable, *([f"default {default}"] if default else [])]
    told = f"{setting.help}  [{'; '.join(facts)}]"
    if setting.is_switch:  # without a default, so that a flag nobody gave is None and a variable may speak
        return click.option("/".join(setting.spellings), setting.name, is_flag=True, default=None, help=told)
    return click.option(
        setting.flag,
        setting.name,
        multiple=setting.repeatable,
        metavar=setting.parser.metavar,
        help=told,
    )


class Seconds(click.FloatRange):
    """Seconds of an option that is no setting: in the range, and not nan, which no comparison refuses."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Callback of an option that is a time as ISO 8601 writes it, with its offset: else nobody knows when it is."""
    try:
        found = None if value is None else datetime.fromisoformat(value)
    except ValueError:
        found = datetime.min  # has no offset, either
    if found is not None and found.utcoffset() is None:
        sentence = f"expected a time with its offset such as 2026-12-01T08:00:00+01:00, found {value!r}"
        raise click.BadParameter(sentence, ctx, param)
    return found


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def loaded_from(flags: dict[str, Any]) -> Loaded:
    """The settings of this command, in the current folder."""
    loaded = load(flags)
    session = click.get_current_context().find_object(Session)
    if session is not None:
        session.debug = loaded.settings.log_level == "DEBUG"
    return loaded
