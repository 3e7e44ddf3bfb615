"""Which queues a one-shot command means: those named by a setting, else those of the app's registered tasks.

Called by enqueue, stats and dead. Imports the app only when no setting names a queue, with its prints sent to
standard error, so that the data on standard output stays clean.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from asyncq.cli.app import find_app, load_app
from asyncq.core.errors import ConfigurationError
from asyncq.core.settings import Loaded

if TYPE_CHECKING:  # brings asyncio
    from asyncq.core.registry import Registry


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
    from asyncq.core.task import DEFAULT_QUEUE  # brings asyncio: only when needed

    registry = _registry(loaded)
    return registry[task].queue if task in registry else DEFAULT_QUEUE


def queues_of(loaded: Loaded) -> tuple[str, ...]:
    """The queues this folder works on.

    Raises:
        AppImportError: the app, which would know, cannot be imported.
    """
    if loaded.settings.queues:
        return loaded.settings.queues
    return tuple(_registry(loaded).queues())


def _registry(loaded: Loaded) -> Registry:
    """Of the app; an empty one where there is none."""
    from asyncq.core.registry import Registry  # see above

    app = find_app(loaded)
    if app is None:
        return Registry()
    with contextlib.redirect_stdout(sys.stderr):
        return load_app(app, loaded.folder)
