"""`asyncq version`: what to write into a bug report."""

from __future__ import annotations

import platform
from typing import Any

import click

import asyncq
from asyncq.cli import output
from asyncq.cli.options import REDIS, json_option, loaded_from, settings_options
from asyncq.core.errors import AsyncqError
from asyncq.core.settings import Loaded

_PACKAGES = {"redis-py": "redis", "uvloop": "uvloop"}


@click.command("version", short_help="Show versions, the server's too if it answers.")
@settings_options(*REDIS)
@json_option
def version_command(as_json: bool, **flags: Any) -> None:
    """Show the versions of asyncq, Python, redis-py and uvloop, and of the Redis server if it can be reached."""
    found = {**_packages(), "server": _server(loaded_from(flags))}
    if as_json:
        output.data_json(found)
        return
    for name, version in found.items():
        output.data(f"{name:<9} {version or '-'}")


def _packages() -> dict[str, str | None]:
    from importlib import metadata  # slow to import, and only this command wants it

    found: dict[str, str | None] = {}
    for name, package in _PACKAGES.items():
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[name] = None
    return {"asyncq": asyncq.__version__, "python": platform.python_version(), **found}


def _server(loaded: Loaded) -> str | None:
    """Make and version of the server; None, and a line of talk, if it cannot be reached."""
    from asyncq.broker.choice import reachable_redis
    from asyncq.broker.server_version import server_version  # brings redis-py: only when it runs

    try:
        return server_version(reachable_redis(loaded).url)
    except AsyncqError as error:
        output.talk(f"asyncq: {error}")
        return None
