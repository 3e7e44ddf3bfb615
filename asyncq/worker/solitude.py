"""Solitude: when this process takes nothing but a suspect, to run it alone.

A message that was in flight at two deaths may be what killed the process, or just have been beside it. It is run with
nothing else in flight here, so that the next death speaks for itself. Asked and told by the feeder; pure: time and
load are given.

A process without work runs suspects at once. A busy one makes room for them now and then: it takes nothing new until
it is empty, runs suspects one after the other for at most `SESSION_S`, and works on. If it does not get empty within
its patience it gives up, works for at least as long, and is twice as patient the next time: sooner or later its longest
task has ended, and until then it works half of the time at least.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final

SESSION_S: Final = 1.0
PAUSE_S: Final = 10.0
PATIENCE_S: Final = 1.0


class Solitude:
    """One per feeder.

    Args:
        rng: Spreads processes, so that not all of a fleet empty themselves at the same moment.

    Attributes:
        running: A suspect runs here.
        suspected: Suspects wait in some queue of ours, as far as we have heard.
    """

    def __init__(self, rng: Random) -> None:
        self.running = self.suspected = False
        self._waiting: dict[str, int] = {}
        self._rng = rng
        self._idle = False
        self._next_mono = math.inf
        self._session_ends_mono = -math.inf
        self._gives_up_mono = math.inf
        self._patience_s = PATIENCE_S

    @property
    def next_mono(self) -> float:
        """When a busy process begins to make room, or gives up doing so; infinity when it has neither before it."""
        if self.running or not self.suspected:
            return math.inf
        return self._next_mono if self._gives_up_mono == math.inf else self._gives_up_mono

    def heard(self, queue: str, suspects: int, now_mono: float) -> None:
        """So many suspects wait in that queue."""
        self._waiting[queue] = suspects
        suspected = any(self._waiting.values())
        if suspected and not self.suspected:
            self._next_mono = now_mono + self._rng.uniform(0, PAUSE_S)
        self.suspected = suspected

    def looked(self, found: int) -> None:
        """An ordinary take brought so many messages."""
        self._idle = found == 0

    def turn(self, queue: str, outstanding: int, now_mono: float) -> bool:
        """Whether a suspect of that queue is to be taken now."""
        if self.running or outstanding or not self._waiting.get(queue):
            return False
        return self._idle or now_mono < self._session_ends_mono or now_mono >= self._next_mono

    def holds(self, now_mono: float) -> bool:
        """Whether nothing else may be taken now: a suspect runs, or room is being made for one."""
        if self.running:
            return True
        if not self.suspected:
            return False
        if now_mono < self._session_ends_mono:
            return True
        if now_mono < self._next_mono:
            return False
        if self._gives_up_mono == math.inf:
            self._gives_up_mono = now_mono + self._patience_s
        if now_mono < self._gives_up_mono:
            return True
        self._pause(now_mono, at_least_s=self._patience_s)
        self._patience_s *= 2
        return False

    def began(self, now_mono: float) -> None:
        """A suspect begins to run."""
        self.running = True
        self._patience_s = PATIENCE_S
        if now_mono >= self._session_ends_mono:
            self._session_ends_mono = now_mono + SESSION_S
        self._pause(now_mono)

    def ended(self, now_mono: float) -> None:
        """It has come to an end of its own. After a session ordinary work comes first."""
        self.running = False
        if now_mono >= self._session_ends_mono:
            self._idle = False

    def refused(self, now_mono: float) -> None:
        """A suspect waits and was not given to us: others were faster, or more is in flight here than we know of."""
        self._idle = False
        self._session_ends_mono = -math.inf
        self._pause(now_mono)

    def _pause(self, now_mono: float, at_least_s: float = 0.0) -> None:
        self._gives_up_mono = math.inf
        self._next_mono = now_mono + max(self._rng.uniform(PAUSE_S / 2, PAUSE_S), at_least_s)
