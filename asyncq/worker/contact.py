"""Contact: whether Redis answers, said once when that changes, and how long to wait before the next try."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from random import Random

from asyncq.core.backoff import Backoff
from asyncq.core.errors import BrokerError

log = logging.getLogger("asyncq.worker")


class Contact:
    """Shared by everything in a worker that speaks to Redis.

    Args:
        on_contact: Called whenever Redis answered.
        rng: Jitter of the back-off.
    """

    def __init__(self, on_contact: Callable[[], None], rng: Random) -> None:
        self._on_contact = on_contact
        self._backoff = Backoff(rng)

    def made(self) -> None:
        """Redis answered."""
        self._on_contact()
        if self._backoff.failures:
            log.info("redis is back", extra={"failures": self._backoff.failures})
            self._backoff.reset()

    async def failed(self, error: BrokerError) -> None:
        """Redis did not answer: say so if that is news, then wait."""
        if self._backoff.failures == 0:
            log.warning("redis is away, trying again", extra={"error": str(error)})
        await asyncio.sleep(self._backoff.next_s())
