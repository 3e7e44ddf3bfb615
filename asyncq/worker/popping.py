"""At-most-once: K consumers, each blocked in its own BLPOP while idle. Fastest; a crash loses what it held.

The consumer that wakes runs its message; when it comes back, the first one that finds nothing ready takes, with one
LPOP, what all consumers that wait beside it can run. Only when the queues are empty do they block again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from asyncq.core.contact import Contact
from asyncq.core.doors import Broker, Popper
from asyncq.core.errors import BrokerError
from asyncq.core.settlement import RELEASE, Settlement
from asyncq.worker.source import Delivery, Origin

WAIT_S: Final = 5.0
WAKE_RETRY_S: Final = 0.02


class Popped:
    """Implements worker.source.Origin: the queue of a message that exists only here, and what waits to be written."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.unwritten: list[tuple[bytes, Settlement]] = []


class Popping:
    """Implements worker.source.Source.

    Args:
        broker: Makes one Popper per consumer.
        queues: Asked in turn.
        consumers: K.
        contact: Waits when Redis is away.
    """

    def __init__(self, broker: Broker, queues: Sequence[str], consumers: int, contact: Contact) -> None:
        self.ready: deque[Delivery] = deque()
        self.settled = 0
        self.outstanding = 0
        self._broker = broker
        self._origins = {queue: Popped(queue) for queue in queues}
        self._order = list(self._origins.values())
        self._poppers: list[Popper] = []
        self._blocked: set[int] = set()
        self._waiting = 0
        self._fetch = asyncio.Lock()
        self._writable = asyncio.Event()
        self._taking = True
        self._contact = contact
        self.grow(consumers)

    def grow(self, count: int) -> None:
        """See Source.grow."""
        self._poppers.extend(self._broker.popper(list(self._origins)) for _ in range(count))

    async def next(self, index: int) -> Delivery:
        """See Source.next."""
        while True:
            if not self._taking:
                await asyncio.Event().wait()  # until the worker cancels this consumer
            if self.ready:
                return self.ready.popleft()
            try:
                if await self._pop_together():
                    continue
                popped = await self._block(index)
            except BrokerError as error:
                await self._contact.failed(error)
                continue
            if popped is not None:
                return popped

    async def _pop_together(self) -> bool:
        """Fetch for everybody who waits here. True when there is something ready."""
        self._waiting += 1
        try:
            async with self._fetch:
                if self.ready or not self._taking:
                    return True
                for origin in list(self._order):
                    raws = await self._poppers[0].pop_many(origin.queue, self._waiting)
                    self.ready.extend((origin, 0, raw) for raw in raws)
                    self.outstanding += len(raws)
                    if raws:
                        self._order.remove(origin)
                        self._order.append(origin)  # others first next time: a long queue must not starve them
                        break
                self._contact.made()
                return bool(self.ready)
        finally:
            self._waiting -= 1

    async def _block(self, index: int) -> Delivery | None:
        """Wait in an own BLPOP. What arrives after the drain began goes straight back."""
        self._blocked.add(index)
        try:
            popped = await self._poppers[index].pop(WAIT_S)
        finally:
            self._blocked.discard(index)
        self._contact.made()
        if popped is None:
            return None
        origin = self._origins[popped[0]]
        self.outstanding += 1
        if self._taking:
            return origin, 0, popped[1]
        self.settle(origin, 0, popped[1], RELEASE)
        return None

    def complete(self, origin: Origin, token: int) -> None:
        """See Source.complete. Nothing to write: the message left Redis when it was popped."""
        self.outstanding -= 1
        self.settled += 1

    def settle(self, origin: Origin, token: int, raw: bytes, settlement: Settlement) -> None:
        """See Source.settle."""
        self.complete(origin, token)
        self._origins[origin.queue].unwritten.append((raw, settlement))
        self._writable.set()

    async def run(self) -> None:
        """Write retries, dead letters and releases until cancelled."""
        while True:
            await self._writable.wait()
            self._writable.clear()
            try:
                await self._write()
            except BrokerError as error:
                await self._contact.failed(error)
                self._writable.set()

    async def _write(self) -> int:
        """Returns how many messages went back to their queue."""
        returned = 0
        for origin in self._origins.values():
            batch = origin.unwritten[:]
            if batch:
                await self._broker.settle_popped(origin.queue, batch)
                del origin.unwritten[: len(batch)]
                returned += sum(settlement is RELEASE for _, settlement in batch)
        self._contact.made()
        return returned

    def stop_taking(self) -> None:
        """See Source.stop_taking."""
        self._taking = False
        for origin, token, raw in reversed(self.ready):
            self.settle(origin, token, raw, RELEASE)
        self.ready.clear()

    async def quiet(self) -> None:
        """See Source.quiet. Repeated, because the wake-up may overtake the pop."""
        while self._blocked:
            for index in list(self._blocked):
                await self._poppers[index].wake()
            await asyncio.sleep(WAKE_RETRY_S)

    async def leave(self) -> int:
        """See Source.leave. Raises BrokerError when Redis is away: unwritten retries are lost with the process."""
        return await self._write()

    async def close(self) -> None:
        """See Source.close."""
        for popper in self._poppers:
            await popper.close()
