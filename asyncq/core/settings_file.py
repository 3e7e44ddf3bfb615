"""The settings a folder holds: asyncq.toml, or the table [tool.asyncq] of pyproject.toml.

Called by `core.settings.load`. Reads two small files at most, checks that every key is known, leaves the
values as TOML made them. Never looks in parent folders: what counts must lie where the command is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncq.core.errors import ConfigurationError


def read_table(folder: Path, known: Sequence[str]) -> tuple[Mapping[str, object], str]:
    """The settings of `folder` and the name of the file they stand in; an empty table if there is none.

    Raises:
        ConfigurationError: a key that is not in `known`, both files have settings, or a file is not TOML.
    """
    own = _toml(folder / "asyncq.toml")
    tool = _toml(folder / "pyproject.toml").get("tool")
    shared = tool.get("asyncq", {}) if isinstance(tool, dict) else {}
    if own and shared:
        raise ConfigurationError(
            "settings: expected one place, found asyncq.toml and [tool.asyncq] in pyproject.toml; keep one"
        )
    table, name = (own, "asyncq.toml") if own else (shared, "pyproject.toml [tool.asyncq]")
    if not isinstance(table, dict):
        raise ConfigurationError(f"{name}: expected a table of settings, found {table!r}")
    _refuse_unknown(table, known, name)
    return table, name


def read_text(path: Path, wanted_by: str) -> str:
    """The text of a file that a person named.

    Raises:
        ConfigurationError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"{wanted_by}: expected a readable file, found {path}: {reason}") from None


def _toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    import tomllib  # many producers have no such file

    try:
        return tomllib.loads(read_text(path, path.name))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path.name}: expected TOML, found an error: {error}") from None


def _refuse_unknown(table: Mapping[str, object], known: Sequence[str], name: str) -> None:
    for key in table:
        if key not in known:
            import difflib  # only for somebody's mistake

            near = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the settings are {', '.join(known)}"
            raise ConfigurationError(f"{name}: unknown setting {key!r}; {hint}")
