"""Contact: whether Redis answers, said once per process when that changes, and how long to wait before the next try.

Shared by all coroutines of one process that speak to Redis: the worker's feeder and leases, the keeper's loops.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from random import Random

from asyncq.core.backoff import Backoff
from asyncq.core.errors import BrokerError, BrokerRefusedError

log = logging.getLogger("asyncq.redis")


class Contact:
    """One per process.

    Args:
        rng: Jitter of the back-off.
        on_contact: Called whenever Redis answered.
    """

    def __init__(self, rng: Random, on_contact: Callable[[], None] = lambda: None) -> None:
        self._on_contact = on_contact
        self._backoff = Backoff(rng)  # counts only that nobody answered, and says "away" and "back" by it
        self._refused_backoff = Backoff(rng)  # never reset: that others are answered mends no refusal
        self._refusals: set[str] = set()

    def made(self) -> None:
        """Redis answered."""
        self._on_contact()
        if self._backoff.failures:
            log.info("redis is back", extra={"failures": self._backoff.failures})
            self._backoff.reset()

    async def failed(self, error: BrokerError) -> None:
        """Redis did not do what it was asked: say so if that is news, then wait."""
        if isinstance(error, BrokerRefusedError):
            self.refused(error)
            await asyncio.sleep(self._refused_backoff.next_s())
            return
        if self._backoff.failures == 0:
            log.warning("redis is away, trying again", extra={"error": str(error)})
        await asyncio.sleep(self._backoff.next_s())

    def refused(self, error: BrokerRefusedError) -> None:
        """Redis answers, but not to this: each refusal is said once, somebody has to mend it."""
        if str(error) not in self._refusals:
            self._refusals.add(str(error))
            log.error("redis refuses, trying again", extra={"error": str(error)})
