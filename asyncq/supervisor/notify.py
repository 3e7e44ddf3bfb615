"""Tells systemd how the supervisor is doing (sd_notify): READY, STATUS, WATCHDOG, STOPPING, EXTEND_TIMEOUT_USEC.

Called by the arbiter and `notices`. Does nothing without an address; never waits, never fails: a service manager that
does not listen is no reason to stop supervising. Has no clock: what is due is decided from the `now` that it is given.
"""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

_log = logging.getLogger("asyncq.supervisor")

STATUS_EVERY_S: Final = 1.0
MAX_STATUS_CHARS: Final = 500
EXTEND_EVERY_S: Final = 2.0
# What is asked for beyond the end that is expected: the next request may come late, and the end, too.
EXTEND_MARGIN_S: Final = 10.0
# READY=1 that a full socket did not take is worth another try: without it the start would count as failed.
AGAIN_S: Final = 1.0
BEATS_PER_WATCHDOG: Final = 3


@dataclass(frozen=True, slots=True)
class NotifyTarget:
    """Who listens.

    Attributes:
        address: A path, or `@name` for an abstract socket; empty means nobody listens.
        watchdog_s: The service manager kills us when it hears no WATCHDOG=1 for this long; 0 = it has no watchdog.
    """

    address: str = ""
    watchdog_s: float = 0.0


class Verdict(Protocol):
    """Whether the fleet lives, and why in one line: `admin.health.Verdict`, which this room does not know."""

    @property
    def ok(self) -> bool: ...

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Alive:
    ok: bool = True
    reason: str = ""


class Notifier:
    """What the service manager has been told, and what it is to be told next.

    `ready` and `stopping` speak at once; what `status` and `extend` leave to say goes out with `pulse`, and so do the
    watchdog's beats. All that is due at one moment is one datagram.

    Args:
        target: Who listens.
        live: The verdict of /livez; asked before each WATCHDOG=1, which is not sent when it is no.
    """

    def __init__(self, target: NotifyTarget, live: Callable[[], Verdict] = _Alive) -> None:
        self._address = "\0" + target.address[1:] if target.address.startswith("@") else target.address
        self._beat_every_s = target.watchdog_s / BEATS_PER_WATCHDOG
        self._live = live
        self._told: set[str] = set()  # READY=1 and STOPPING=1: each once
        self._owed: list[str] = []  # those not heard yet
        self._status = self._status_told = ""
        self._beats = False
        self._held_back = False
        self._end_mono = -math.inf  # when the drain will have ended
        self._clocked = True  # False after something was said at an unknown time: the next pulse starts the waits
        self._beat_mono = self._status_mono = self._extend_mono = self._again_mono = -math.inf

    # -- what the arbiter says

    def ready(self, status: str) -> None:
        """The first full set is there. From now on the watchdog is fed; the first time together with READY=1."""
        self._beats = self._beat_every_s > 0 and bool(self._address)
        self._once("READY=1", status)

    def stopping(self, status: str) -> None:
        """The end has begun; a second call changes the status at most."""
        self._once("STOPPING=1", status)

    def status(self, text: str) -> None:
        """What `systemctl status` is to show. Told when it changed, and at most once a second."""
        self._status = _one_line(text)

    def extend(self, now: float, left_s: float) -> None:
        """Work remains, and the tree is gone in `left_s` seconds at the latest. Call it as long as that is true.

        Until then the service manager is asked every two seconds not to kill us before that end and some seconds more.
        It takes the later of this and its own TimeoutStopSec=: a request can never shorten the time.
        """
        self._end_mono = now + max(left_s, EXTEND_EVERY_S)  # what is overdue has an end, too

    def pulse(self, now: float) -> None:
        """Say what is due; to be called at `due_mono`, and as often as one likes."""
        if not self._clocked:
            self._clocked = True
            self._beat_mono, self._status_mono = now + self._beat_every_s, now + STATUS_EVERY_S
        if now >= self._end_mono:
            self._end_mono = -math.inf
        if self._address and now >= self.due_mono:
            self._say(self._due(now), now)

    @property
    def due_mono(self) -> float:
        """When `pulse` wants to be called next: in the past = at once, infinite = never."""
        if not self._address:
            return math.inf
        if not self._clocked:
            return -math.inf
        dues = [
            -math.inf if self._owed else math.inf,
            self._beat_mono if self._beats else math.inf,
            self._status_mono if self._status != self._status_told else math.inf,
            self._extend_mono if self._extend_mono < self._end_mono else math.inf,
        ]
        return max(min(dues), self._again_mono)

    # -- deciding

    def _once(self, line: str, status: str) -> None:
        self._status = _one_line(status)
        if line in self._told:
            return
        self._told.add(line)
        self._owed.append(line)
        self._say(self._due(None), None)

    def _due(self, now: float | None) -> list[str]:
        """The lines for this moment; None = a moment that is not to be missed, whatever was said just before."""
        lines = list(self._owed)
        if self._status != self._status_told and (now is None or now >= self._status_mono):
            lines.append(f"STATUS={self._status}")
        if self._beats and (now is None or now >= self._beat_mono) and self._lives(now):
            lines.append("WATCHDOG=1")
        if now is not None and self._extend_mono <= now < self._end_mono:
            lines.append(f"EXTEND_TIMEOUT_USEC={math.ceil((self._end_mono - now + EXTEND_MARGIN_S) * 1_000_000)}")
        return lines

    def _lives(self, now: float | None) -> bool:
        """Whether the watchdog may be fed; when not, it is asked again soon, and each change is logged once."""
        verdict = self._live()
        if verdict.ok:
            if self._held_back:
                _log.info("watchdog is fed again", extra={"reason": verdict.reason})
        else:
            if not self._held_back:
                _log.error("watchdog is not fed", extra={"reason": verdict.reason})
            if now is not None:
                self._beat_mono = now + min(self._beat_every_s, AGAIN_S)
        self._held_back = not verdict.ok
        return verdict.ok

    # -- saying

    def _say(self, lines: list[str], now: float | None) -> None:
        if not (self._address and lines):
            return
        if not send(self._address, lines):
            self._again_mono = -math.inf if now is None else now + AGAIN_S
            return
        self._owed.clear()
        self._clocked = now is not None
        for line in lines:
            match line.partition("=")[0]:
                case "STATUS":
                    self._status_told, self._status_mono = self._status, _later(now, STATUS_EVERY_S)
                case "WATCHDOG":
                    self._beat_mono = _later(now, self._beat_every_s)
                case "EXTEND_TIMEOUT_USEC":
                    self._extend_mono = _later(now, EXTEND_EVERY_S)


def _later(now: float | None, wait_s: float) -> float:
    return -math.inf if now is None else now + wait_s


def _one_line(text: str) -> str:
    """A status of several lines would be read as further notifications."""
    return " ".join(text.split())[:MAX_STATUS_CHARS]


def send(address: str, lines: list[str]) -> bool:
    """One datagram; False if it was not taken: nobody there, or no room."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(errors="backslashreplace"), address)
    except OSError:
        return False
    return True
