"""The promoter: moves messages whose time has come from `scheduled` to their queue.

Sleeps exactly until the next one is due. A bell rings when a message was scheduled that is due earlier than all
others, so an idle queue costs next to nothing and still nothing is late. What somebody scheduled without ringing, or
whose bell rang for a promoter that died, is found by a look every IDLE_S.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from asyncq.core.contact import Contact
from asyncq.core.doors import Broker
from asyncq.maintenance.loops import forever

log = logging.getLogger("asyncq.maintenance")

BELL_S: Final = 15.0
IDLE_S: Final = 5.0


class Promoter:
    """One queue's promoter. Any number may run at the same time: promoting is atomic in Redis.

    Args:
        broker: Promotes.
        queue: The queue.
        contact: Waits while Redis is away.
    """

    def __init__(self, broker: Broker, queue: str, contact: Contact) -> None:
        self._broker, self._queue, self._contact = broker, queue, contact
        self._rang = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. Cost when idle: 1 EXISTS every 5 s, and 1 BLPOP every 15 s."""
        async with asyncio.TaskGroup() as group:
            group.create_task(forever(self._listen, self._contact))
            group.create_task(forever(self._promote, self._contact))

    async def _listen(self) -> float:
        rang = await self._broker.due_bell(self._queue, BELL_S)
        self._contact.made()
        if rang:
            self._rang.set()
        return 0.0

    async def _promote(self) -> float:
        moved, next_ms = await self._broker.promote(self._queue)
        self._contact.made()
        if moved:
            log.debug("promoted", extra={"queue": self._queue, "count": moved})
        pause_s = IDLE_S if next_ms is None else min(IDLE_S, next_ms / 1000)
        try:
            async with asyncio.timeout(pause_s):
                await self._rang.wait()
        except TimeoutError:
            pass
        self._rang.clear()
        return 0.0
