"""Which module registers the tasks, and importing it with one readable sentence when that fails.

Called by the commands that run tasks (in the worker processes, after the fork) and by those that need to know a
task's queue. Never shows a traceback; the error keeps its cause.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from asyncq.core.errors import AppImportError, ConfigurationError
from asyncq.core.settings import Loaded
from asyncq.core.where import where

if TYPE_CHECKING:  # brings asyncio: not into a supervisor's parent
    from asyncq.core.registry import Registry


def find_app(loaded: Loaded) -> str | None:
    """The app: the setting `--app`, else `tasks` if there is a tasks.py in the folder, else None."""
    if loaded.settings.app is not None:
        return loaded.settings.app
    return "tasks" if (loaded.folder / "tasks.py").is_file() else None


def resolve_app(loaded: Loaded) -> str:
    """As `find_app`, for commands that cannot do without.

    Raises:
        ConfigurationError: nobody says which module, and there is no tasks.py.
    """
    app = find_app(loaded)
    if app is None:
        raise ConfigurationError(
            f"--app: expected the module that registers your tasks, found none and no tasks.py in {loaded.folder}; "
            "give --app MODULE or set app under [tool.asyncq] in pyproject.toml"
        )
    return app


def load_app(app: str, folder: Path) -> Registry:
    """Import the app with `folder` first on the module search path. Returns the registry that it filled.

    Args:
        app: MODULE for the default registry, MODULE:NAME for the Registry of that name in it.
        folder: Where the module lies.

    Raises:
        AppImportError: there is no such module or registry, its own code failed, or a payload's type cannot be
            checked; the sentence names the cause and the innermost line of the user's code, `__cause__` holds the rest.
    """
    from asyncq.core.registry import Registry, default_registry

    name, _, attribute = app.partition(":")
    module = _imported(name, folder)
    registry = getattr(module, attribute, None) if attribute else default_registry
    if not isinstance(registry, Registry):
        raise AppImportError(
            f"cannot load the app {app!r}: expected a Registry named {attribute!r} in {name}, "
            f"found {'nothing' if registry is None else type(registry).__name__}"
        )
    try:
        registry.check()
    except ConfigurationError as error:
        raise AppImportError(f"cannot load the app {app!r}: {error}") from error
    return registry


def _imported(name: str, folder: Path) -> ModuleType:
    place = str(folder)
    sys.path[:] = [place, *(entry for entry in sys.path if entry != place)]
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the fence around user code that runs at import
        raise AppImportError(_sentence(name, folder, error)) from error


def _sentence(name: str, folder: Path, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
        return (
            f"cannot import the app {name!r}: there is no module {error.name!r} in {folder} or among the installed "
            "packages; name yours with --app"
        )
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError):
        said = f"SyntaxError: {error.msg}"
    place = where(error)
    return f"cannot import the app {name!r}: {said}" + (f" ({place})" if place else "")
