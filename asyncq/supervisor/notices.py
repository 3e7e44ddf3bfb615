"""Tells the world what the arbiter has done: the log, the `on_event` callback, and systemd.

Called by the arbiter only. Decides nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Final

from asyncq.supervisor.events import (
    AllReady,
    ChildDied,
    ChildHung,
    ChildReady,
    Degraded,
    Draining,
    Dumped,
    Event,
    GaveUp,
    Quieted,
    Recovered,
    Resumed,
)
from asyncq.supervisor.notify import Notifier

_log = logging.getLogger("asyncq.supervisor")

_LINES: Final[Mapping[type, tuple[int, str]]] = {
    ChildReady: (logging.INFO, "child ready"),
    ChildDied: (logging.WARNING, "child died"),
    ChildHung: (logging.WARNING, "event loop blocked"),
    Dumped: (logging.INFO, "stack dump"),
    Draining: (logging.INFO, "draining"),
    Degraded: (logging.ERROR, "crash loop suspected"),
    Recovered: (logging.INFO, "recovered"),
    Quieted: (logging.INFO, "quiet"),
    Resumed: (logging.INFO, "resumed"),
    GaveUp: (logging.ERROR, "gave up"),
}


class Notices:
    """Where events go.

    Args:
        on_event: The roof's callback, or None.
        notify_socket: Address of systemd's notification socket; empty means none.
    """

    def __init__(self, on_event: Callable[[Event], object] | None, notify_socket: str) -> None:
        self._on_event = on_event
        self._notifier = Notifier(notify_socket)

    def tell(self, event: Event, *, first: bool = True) -> None:
        """Log it, call the callback, notify systemd. `first`: False for a Draining that repeats another."""
        _write(event)
        match event:
            case GaveUp():
                with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                    sys.stderr.write("".join(f"{line}\n" for line in (f"asyncq: {event.sentence}", *event.last_lines)))
                    sys.stderr.flush()
            case AllReady():
                self._notifier.send("READY=1", "STATUS=all children ready")
            case Draining() if first:
                self._notifier.send("STOPPING=1", "STATUS=draining")
            case Degraded():
                self._notifier.send("STATUS=crash loop suspected: one probe at a time")
            case Recovered():
                self._notifier.send("STATUS=recovered")
            case _:
                pass
        if self._on_event is not None:
            self._on_event(event)


def _write(event: Event) -> None:
    """The line of the log; readiness is the roof's to tell."""
    if isinstance(event, AllReady):
        return
    level, name = _LINES[type(event)]
    if isinstance(event, ChildDied) and event.reason == "asked":
        level, name = logging.INFO, "child stopped"
    fields = dataclasses.asdict(event)
    fields.pop("sentence", None)  # written to standard error as it is
    _log.log(level, name, extra=fields)
