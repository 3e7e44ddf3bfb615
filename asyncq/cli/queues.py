"""Which queues a one-shot command means: those named by a setting, else those of the app's registered tasks.

Called by enqueue, stats and dead. Imports the app only when no setting names a queue, with its prints sent to
standard error, so that the data on standard output stays clean.
"""

from __future__ import annotations

import contextlib
import sys

from asyncq.cli.app import find_app, import_app
from asyncq.core.errors import ConfigurationError
from asyncq.core.settings import Loaded


def queue_of(task: str, loaded: Loaded) -> str:
    """The queue a message for `task` belongs on.

    Raises:
        ConfigurationError: the settings name several queues.
        AppImportError: the app, which would know, cannot be imported.
    """
    named = loaded.settings.queues
    if len(named) > 1:
        raise ConfigurationError(f"--queue: expected one queue to enqueue on, found {', '.join(named)}")
    if named:
        return named[0]
    from asyncq.core.task import DEFAULT_QUEUE, default_registry  # brings asyncio: only when needed

    _import_app(loaded)
    return default_registry[task].queue if task in default_registry else DEFAULT_QUEUE


def queues_of(loaded: Loaded) -> tuple[str, ...]:
    """The queues this folder works on.

    Raises:
        AppImportError: the app, which would know, cannot be imported.
    """
    if loaded.settings.queues:
        return loaded.settings.queues
    from asyncq.core.task import default_registry  # see above

    _import_app(loaded)
    return tuple(default_registry.queues())


def _import_app(loaded: Loaded) -> None:
    app = find_app(loaded)
    if app is not None:
        with contextlib.redirect_stdout(sys.stderr):
            import_app(app, loaded.folder)
