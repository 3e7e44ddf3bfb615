"""Lane and Rate: what the feeder remembers of one queue, and of the speed of this process. No I/O."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from asyncq.core.doors import Batch, Registration
from asyncq.worker.bell import Bell

MEMORY_S: Final = 0.1


class Lane:
    """One queue of this process: its registration and the settlements that wait to be written.

    Attributes:
        batch: Settlements of ended messages, not yet sent.
        held: Messages taken and not yet ended.
        empty: The last take found less than it asked for; the bell says when to ask again.
        rang: The bell rang: exchange even when nothing can be taken, so that the inbox is not forgotten.
        resting: Redis refused the last exchange; the lane is left out for a moment.
        lost: The incarnation was reaped: whatever its handlers come to would be refused, so it is not even sent.
        kept_until_mono: Until then nobody can have reaped us, whatever we hear of Redis: the last renewal that was
            answered, seen from when it was asked, and the length of a lease. Infinity before the first.
        lock: Held around every call on the registration that its door does not allow beside another one: exchange,
            renew and withdraw. `wait`, `wake` and `close` are the bell's and need none.
        bell: Waits for the empty queue; given by the feeder.
    """

    def __init__(self, registration: Registration) -> None:
        self.registration = registration
        self.queue, self.wid = registration.queue, registration.wid
        self.batch = Batch()
        self.held = 0
        self.empty = self.rang = self.resting = self.lost = False
        self.kept_until_mono = math.inf
        self.lock = asyncio.Lock()

    bell: Bell

    def put_back(self, batch: Batch) -> None:
        """An exchange failed: its settlements are sent again, before the ones that came since."""
        self.batch = Batch(batch.completed + self.batch.completed, batch.others + self.batch.others)


class Rate:
    """Completions per second, forgotten with a time constant of `MEMORY_S`."""

    def __init__(self, now: float) -> None:
        self._per_s = 0.0
        self._count = 0
        self._at = now

    def note(self, count: int, now: float) -> None:
        """Tell the number of completions so far."""
        elapsed = now - self._at
        if elapsed > 0:
            weight = 1.0 - math.exp(-elapsed / MEMORY_S)
            self._per_s += weight * ((count - self._count) / elapsed - self._per_s)
            self._count, self._at = count, now

    def expected(self, within_s: float) -> int:
        """Completions to expect in that time, rounded down."""
        return int(self._per_s * within_s)
