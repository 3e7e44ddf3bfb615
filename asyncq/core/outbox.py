"""Outbox: who carries out `Task.enqueue` in this process, so that tasks need not know Redis.

Filled by the front door, `asyncq/__init__.py`, with a function that finds the process's own Client on first use; asked
by Task. Holds one reference and does nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from asyncq.core.errors import ConfigurationError

if TYPE_CHECKING:  # brings the codec: not at `import asyncq`
    from asyncq.core.doors import Enqueuer


def _nobody() -> Enqueuer:
    raise ConfigurationError("Task.enqueue: expected a client, found none; import asyncq, or use Client.enqueue")


_find: Callable[[], Enqueuer] = _nobody


def provide(find: Callable[[], Enqueuer]) -> None:
    """From now on `find()` says who enqueues. It is called at each enqueue, so it must be cheap."""
    global _find
    _find = find


def enqueuer() -> Enqueuer:
    """Who enqueues.

    Raises:
        ConfigurationError: nobody has been provided.
    """
    return _find()
