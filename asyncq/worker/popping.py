"""At-most-once: K consumers, each blocked in its own BLPOP while idle. Fastest; a crash loses what it held.

The consumer that wakes runs its message; when it comes back, the first one that finds nothing ready takes, with one
LPOP, what all consumers that wait beside it can run. Only when the queues are empty do they block again.
What arrives when nothing is to be taken any more goes straight back: `_accept` accounts for every reply.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from typing import Final

from asyncq.core.contact import Contact
from asyncq.core.doors import Broker, Observer, Popper, Slot
from asyncq.core.errors import BrokerError, BrokerRefusedError
from asyncq.core.settlement import RELEASE, DeadLetter, Settlement
from asyncq.worker.source import Delivery, Origin

WAIT_S: Final = 5.0
WAKE_RETRY_S: Final = 0.02
REFUSED_RETRY_S: Final = 0.5
OVERSIZED_KEPT_BYTES: Final = 65_536


class Popped:
    """Implements worker.source.Origin: the queue of a message that exists only here, and what waits to be written."""

    def __init__(self, queue: str) -> None:
        self.queue, self.wid = queue, ""
        self.refused = False
        self.unwritten: list[tuple[bytes, Settlement]] = []


class Blocker:
    """One consumer's popper and the queues it blocks on: all but those that Redis refuses, one of which spoils a BLPOP.

    Attributes:
        blocked: A BLPOP is under way.
    """

    def __init__(self, broker: Broker, queues: Sequence[str]) -> None:
        self._broker = broker
        self._queues = list(queues)
        self._popper: Popper = broker.popper(self._queues)
        self.blocked = False

    async def pop(self, queues: Sequence[str]) -> tuple[str, bytes] | None:
        """See Popper.pop; with a connection of its own for each set of queues."""
        self.blocked = True
        try:
            if self._queues != list(queues):
                await self._popper.close()
                self._queues = list(queues)
                self._popper = self._broker.popper(self._queues)
            return await self._popper.pop(WAIT_S)
        finally:
            self.blocked = False

    async def pop_many(self, queue: str, count: int) -> list[bytes]:
        """See Popper.pop_many; of any queue."""
        return await self._popper.pop_many(queue, count)

    async def wake(self) -> None:
        """See Popper.wake."""
        await self._popper.wake()

    async def close(self) -> None:
        """See Popper.close."""
        await self._popper.close()


class Popping:
    """Implements worker.source.Source.

    Args:
        broker: Makes one Popper per consumer.
        queues: Asked in turn.
        consumers: K.
        observer: Is told of oversized messages.
        contact: Waits when Redis is away.
        slot: Is told when a pop was answered.
        max_message_bytes: Larger messages become dead letters, of which the first 64 KiB and a hash are kept.
    """

    def __init__(
        self,
        broker: Broker,
        queues: Sequence[str],
        consumers: int,
        *,
        observer: Observer,
        contact: Contact,
        slot: Slot,
        max_message_bytes: int,
    ) -> None:
        self.ready: deque[Delivery] = deque()
        self.settled = 0
        self.outstanding = 0
        self._broker, self._observer, self._contact, self._slot = broker, observer, contact, slot
        self._max_message_bytes = max_message_bytes
        self._origins = {queue: Popped(queue) for queue in queues}
        self._order = list(self._origins.values())
        self._blockers: list[Blocker] = []
        self._waiting = 0
        self._fetch = asyncio.Lock()
        self._writable = asyncio.Event()
        self._writing: asyncio.Future[int] | None = None
        self._taking = asyncio.Event()
        self._taking.set()
        self.grow(consumers)

    def grow(self, count: int) -> None:
        """See Source.grow."""
        self._blockers.extend(Blocker(self._broker, list(self._origins)) for _ in range(count))

    async def next(self, index: int) -> Delivery:
        """See Source.next."""
        while True:
            if not self._taking.is_set():
                await self._taking.wait()  # in a drain, until the worker cancels this consumer
            if self.ready:
                return self.ready.popleft()
            try:
                if not await self._pop_together():
                    await self._block(self._blockers[index])
            except BrokerError as error:
                await self._contact.failed(error)

    async def _pop_together(self) -> bool:
        """Fetch for everybody who waits here. False when the queues were empty, so that it is time to block.

        Raises:
            BrokerRefusedError: every queue is refused.
        """
        self._waiting += 1
        try:
            async with self._fetch:
                if not self.ready and self._taking.is_set():
                    await self._fetch_first()
                return bool(self.ready) or not self._taking.is_set()
        finally:
            self._waiting -= 1

    async def _fetch_first(self) -> None:
        """What the first queue that has something can give to all who wait. A refused queue spoils no other."""
        refusal: BrokerRefusedError | None = None
        for origin in list(self._order):
            try:
                raws = await self._blockers[0].pop_many(origin.queue, self._waiting)
            except BrokerRefusedError as error:
                refusal, origin.refused = error, True
                self._contact.refused(error)
                continue
            origin.refused = False
            self._contact.made()
            self._slot.set_taken()
            self._accept(origin, raws)
            if raws:
                self._order.remove(origin)
                self._order.append(origin)  # others first next time: a long queue must not starve them
                return
        if refusal is not None and all(origin.refused for origin in self._order):
            raise refusal

    async def _block(self, blocker: Blocker) -> None:
        """Wait in an own BLPOP."""
        popped = await blocker.pop([queue for queue, origin in self._origins.items() if not origin.refused])
        self._contact.made()
        self._slot.set_taken()
        if popped is not None:
            self._accept(self._origins[popped[0]], [popped[1]])

    def _accept(self, origin: Popped, raws: Sequence[bytes]) -> None:
        """What came from Redis becomes ready, a dead letter or, when nothing is to be taken, goes back."""
        self.outstanding += len(raws)
        for raw in raws:
            if len(raw) > self._max_message_bytes:
                self._bury(origin, raw)
            else:
                self.ready.append((origin, 0, raw))
        if not self._taking.is_set():
            self._give_back()

    def _bury(self, origin: Popped, raw: bytes) -> None:
        """The same record as the take of at-least-once writes."""
        sha1 = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
        details = {"size_bytes": len(raw), "sha1": sha1}
        self.settle(origin, 0, raw[:OVERSIZED_KEPT_BYTES], DeadLetter("oversized", details))
        self._observer.counted("oversized", origin.queue, 1)

    def _give_back(self) -> None:
        """What was not started goes to the head of its queue, in its order."""
        self.settled -= len(self.ready)
        for origin, token, raw in self.ready:
            self.settle(origin, token, raw, RELEASE)
        self.ready.clear()

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
            self._writing = asyncio.ensure_future(self._write())
            try:
                # Nothing fences these settlements: one that was sent is not cancelled and sent again by `leave`.
                await asyncio.shield(self._writing)
            except BrokerError as error:
                await self._contact.failed(error)
                self._writable.set()

    async def _write(self) -> int:
        """Returns how many messages went back to their queue. A refused queue is left to the end, then raised."""
        returned = 0
        refusal: BrokerRefusedError | None = None
        for origin in self._origins.values():
            batch = origin.unwritten[:]
            if not batch:
                continue
            try:
                await self._broker.settle_popped(origin.queue, batch)
            except BrokerRefusedError as error:
                refusal = error
                continue
            self._contact.made()
            del origin.unwritten[: len(batch)]
            returned += sum(settlement is RELEASE for _, settlement in batch)
        if refusal is not None:
            raise refusal
        return returned

    def stop_taking(self) -> None:
        """See Source.stop_taking."""
        self._taking.clear()
        self._give_back()

    def resume(self) -> None:
        """See Source.resume."""
        self._taking.set()

    async def hush(self) -> None:
        """See Source.hush. Takes as long as an LPOP under way and, if Redis refuses to end it, a BLPOP: 5 s."""
        async with self._fetch:
            pass
        while not self._taking.is_set() and any(blocker.blocked for blocker in self._blockers):
            try:
                for blocker in self._blockers:
                    if blocker.blocked:  # asked again and again, because the wake-up may overtake the pop
                        await blocker.wake()
            except BrokerRefusedError as error:  # it ends by itself, and what it brings goes back
                self._contact.refused(error)
                await asyncio.sleep(REFUSED_RETRY_S)
            await asyncio.sleep(WAKE_RETRY_S)

    async def leave(self) -> int:
        """See Source.leave. Raises BrokerError when Redis is away: unwritten retries are lost with the process."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        self.stop_taking()  # a worker that was cancelled comes here without a drain
        return await self._write()

    async def close(self) -> None:
        """See Source.close."""
        for blocker in self._blockers:
            await blocker.close()
