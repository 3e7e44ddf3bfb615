"""The sizes of the queues, asked from Redis at most once a second and never for longer than a second.

One sampler per admin process, asked by `app` at each scrape: however many scrapers there are, Redis sees one reader.
A Redis that is away makes a sample without sizes, not an error and not a late page.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asyncq.core import clock
from asyncq.core.doors import Inspector, QueueStats
from asyncq.core.errors import BrokerError


@dataclass(frozen=True, slots=True)
class QueueSample:
    """Sizes at one moment.

    Attributes:
        redis_up: Whether Redis answered for any queue.
        stats: One per queue that could be read in time; empty when Redis did not answer.
    """

    redis_up: bool
    stats: tuple[QueueStats, ...] = ()


_NO_ANSWER = QueueSample(redis_up=False)


class QueueSampler:
    """Asks an Inspector, and remembers the answer for a while.

    Args:
        inspector: Asked about all queues together, it bounds how many connections that takes; closing it stays with
            its owner.
        queues: Names at the moment of asking (a reload may change them).
        timeout_s: For all queues together; default 1.
        keep_s: How long an answer, or its absence, is given again; default 1.
    """

    def __init__(
        self,
        inspector: Inspector,
        queues: Callable[[], Sequence[str]],
        timeout_s: float = 1.0,
        keep_s: float = 1.0,
        now_mono: Callable[[], float] = clock.mono_s,
    ) -> None:
        self._inspector = inspector
        self._queues = queues
        self._timeout_s = timeout_s
        self._keep_s = keep_s
        self._now_mono = now_mono
        self._asking = asyncio.Lock()
        self._last = _NO_ANSWER
        self._good_until_mono = float("-inf")

    async def sample(self) -> QueueSample:
        """The current sizes. Cost: Inspector.stats for each queue, or nothing within `keep_s` of the last answer."""
        async with self._asking:
            if self._now_mono() >= self._good_until_mono:
                self._last = await self._ask()
                self._good_until_mono = self._now_mono() + self._keep_s
            return self._last

    async def _ask(self) -> QueueSample:
        queues, found = self._queues(), dict[str, QueueStats]()
        with contextlib.suppress(BrokerError, TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                if not queues:
                    await self._inspector.ping()
                    return QueueSample(True)
                await asyncio.gather(*(self._ask_one(queue, found) for queue in queues))
        # What was found in time is true, whatever became of the rest.
        return QueueSample(bool(found), tuple(found[queue] for queue in queues if queue in found))

    async def _ask_one(self, queue: str, found: dict[str, QueueStats]) -> None:
        with contextlib.suppress(BrokerError):  # a key of another type spoils only its own queue
            found[queue] = await self._inspector.stats(queue)
