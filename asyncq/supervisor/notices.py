"""Tells the world what the arbiter has done: the log, the `on_event` callback, and systemd.

Called by the arbiter only. Decides nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from asyncq.core import logs
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
from asyncq.supervisor.notify import Notifier, NotifyTarget
from asyncq.supervisor.status import Counts, sentence

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
        notifier: To systemd; an address makes one that has no watchdog to feed, empty means none.
    """

    def __init__(self, on_event: Callable[[Event], object] | None, notifier: Notifier | str) -> None:
        self._on_event = on_event
        self._notifier = Notifier(NotifyTarget(notifier)) if isinstance(notifier, str) else notifier
        self._counts: Counts | None = None
        self._last_word = ""

    def tell(self, event: Event, *, first: bool = True) -> None:
        """Log it, call the callback, notify systemd. `first`: False for a Draining that repeats another."""
        _write(event)
        match event:
            case GaveUp():
                self._last_word = f"gave up: {event.sentence}"
                _say(f"asyncq: {event.sentence}", *event.last_lines)
            case AllReady():
                self._notifier.ready(self._full_set())
            case Draining() if first:
                self._notifier.stopping(self._last_word or "draining")
            case _:
                pass
        if self._on_event is not None:
            self._on_event(event)

    def show(self, counts: Counts, now: float) -> None:
        """Say what is due to systemd, with these counts as its status; for every turn of the arbiter's loop.

        While the drain has work left, systemd is also asked not to kill us before its end.
        """
        self._counts = counts
        if counts.left_s is not None and counts.present:
            self._notifier.extend(now, counts.left_s + counts.rest_s)
        self._notifier.status(self._status())
        self._notifier.pulse(now)

    @property
    def due_mono(self) -> float:
        """When `show` wants to be called next, however quiet it is; infinite = never."""
        return self._notifier.due_mono

    def _full_set(self) -> str:
        """The counts are of the turn before, and the last worker has become ready since."""
        counts = self._counts
        if counts is None:
            return "all children ready"
        return sentence(dataclasses.replace(counts, ready=counts.wanted, present=counts.wanted))

    def _status(self) -> str:
        """Why it gave up stays to be read when everybody is gone."""
        return self._last_word or (sentence(self._counts) if self._counts else "")


def _say(*lines: str) -> None:
    """For the person who reads standard error, if there is one."""
    with contextlib.suppress(OSError):
        for line in lines:
            if not logs.put_line(f"{line}\n".encode(errors="backslashreplace")):
                break


def _write(event: Event) -> None:
    """The line of the log; readiness is the roof's to tell."""
    if isinstance(event, AllReady):
        return
    level, name = _LINES[type(event)]
    if isinstance(event, ChildDied) and event.reason == "asked":
        level, name = logging.INFO, "child stopped"
    fields = _said(event)
    fields.pop("sentence", None)  # written to standard error as it is
    _log.log(level, name, extra=fields)


def _said(event: Event) -> dict[str, Any]:
    """The fields of an event that say something: no empty text, list or mapping, no None. A number or a no is one."""
    return {key: value for key, value in dataclasses.asdict(event).items() if value not in ("", (), [], {}, None)}
