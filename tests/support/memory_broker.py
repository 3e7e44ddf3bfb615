"""The Broker doors in memory, for unit tests of the worker and the maintenance loops. Faults can be switched on."""

import asyncio
import itertools
from collections import deque
from collections.abc import Sequence

from asyncq.core.doors import Batch, Registered, Taken
from asyncq.core.errors import BrokerRefusedError, BrokerUnavailableError
from asyncq.core.settlement import DeadLetter, Release, Reschedule, Settlement


class MemoryQueue:
    """One queue's keys."""

    def __init__(self) -> None:
        self.ready: deque[bytes] = deque()
        self.scheduled: list[tuple[float, bytes]] = []
        self.dead: list[tuple[str, bytes, dict[str, object]]] = []
        self.inflight: dict[str, dict[int, bytes]] = {}
        self.tombstones: set[str] = set()
        self.pushed = asyncio.Event()

    def push(self, *raws: bytes) -> None:
        self.ready.extend(raws)
        self.pushed.set()

    def settle(self, raw: bytes, settlement: Settlement) -> None:
        if isinstance(settlement, Reschedule):
            self.scheduled.append((settlement.delay_s, settlement.raw))
        elif isinstance(settlement, DeadLetter):
            self.dead.append((settlement.reason, raw, settlement.details))
        elif isinstance(settlement, Release):
            self.ready.appendleft(raw)


class MemoryRegistration:
    """Implements Registration."""

    def __init__(self, broker: "MemoryBroker", queue: str, wid: str) -> None:
        self.queue, self.wid, self._broker = queue, wid, broker
        self._tokens = itertools.count(1)
        self._woken = asyncio.Event()
        self.waiting = self.closed = False
        self.exchanges: list[tuple[int, int, int]] = []

    @property
    def _store(self) -> MemoryQueue:
        return self._broker.queues[self.queue]

    async def exchange(self, batch: Batch, room: int, ahead: int) -> Taken:
        await self._broker.trip()
        self.exchanges.append((len(batch), room, ahead))
        if self.queue in self._broker.refusing:
            raise BrokerRefusedError("switched on by the test")
        mine = self._store.inflight.get(self.wid)
        if mine is None:
            raise LookupError(self.wid)
        late = sum(mine.pop(token, None) is None for token in batch.completed)
        for token, raw, settlement in batch.others:
            if mine.pop(token, None) is None:
                late += 1
            else:
                self._store.settle(raw, settlement)
        raws = [self._store.ready.popleft() for _ in range(min(room + ahead, len(self._store.ready)))]
        tokens = [next(self._tokens) for _ in raws]
        mine.update(zip(tokens, raws, strict=True))
        return Taken(tokens, raws, late)

    async def wait(self, timeout_s: float) -> bool:
        await self._broker.trip()
        self.waiting = True
        self._woken.clear()
        self._store.pushed.clear()
        pushed = asyncio.ensure_future(self._store.pushed.wait())
        woken = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait([pushed, woken], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pushed.cancel()
            woken.cancel()
            self.waiting = False
        return bool(self._store.ready)

    async def wake(self) -> None:
        self._woken.set()

    async def renew(self) -> bool:
        await self._broker.trip()
        return self.wid in self._store.inflight

    async def withdraw(self) -> int:
        await self._broker.trip()
        mine = self._store.inflight.pop(self.wid, {})
        for raw in reversed(mine.values()):
            self._store.ready.appendleft(raw)
        return len(mine)

    async def close(self) -> None:
        self.closed = True


class MemoryPopper:
    """Implements Popper."""

    def __init__(self, broker: "MemoryBroker", queues: Sequence[str]) -> None:
        self._broker, self._queues = broker, queues
        self._woken = asyncio.Event()
        self.blocked = False

    async def pop(self, timeout_s: float) -> tuple[str, bytes] | None:
        await self._broker.trip()
        self.blocked = True
        self._woken.clear()
        try:
            async with asyncio.timeout(timeout_s):
                while not self._woken.is_set():
                    for queue in self._queues:
                        if self._broker.queues[queue].ready:
                            return queue, self._broker.queues[queue].ready.popleft()
                    await asyncio.sleep(0.001)
        except TimeoutError:
            pass
        finally:
            self.blocked = False
        return None

    async def pop_many(self, queue: str, count: int) -> list[bytes]:
        await self._broker.trip()
        ready = self._broker.queues[queue].ready
        return [ready.popleft() for _ in range(min(count, len(ready)))]

    async def wake(self) -> None:
        self._woken.set()

    async def close(self) -> None: ...


class MemoryBroker:
    """Implements Broker.

    Attributes:
        away: While True every call raises BrokerUnavailableError.
        refusing: Queues whose exchanges fail.
        reaped: (queue, wid, forced) of every reap.
    """

    def __init__(self, *queues: str) -> None:
        self.queues = {queue: MemoryQueue() for queue in queues or ("q",)}
        self.registrations: list[MemoryRegistration] = []
        self.poppers: list[MemoryPopper] = []
        self.away = False
        self.trips = 0
        self.refusing: set[str] = set()
        self.reaped: list[tuple[str, str, bool]] = []
        self.renewed: list[tuple[str, str]] = []
        self.rows: list[Registered] = []
        self._numbers = itertools.count(1)

    async def trip(self) -> None:
        self.trips += 1
        await asyncio.sleep(0)
        if self.away:
            raise BrokerUnavailableError("switched off by the test")

    def incarnation(self) -> str:
        return f"host:1:{next(self._numbers)}"

    async def register(self, queue: str, wid: str) -> MemoryRegistration:
        await self.trip()
        self.queues[queue].inflight[wid] = {}
        self.registrations.append(MemoryRegistration(self, queue, wid))
        return self.registrations[-1]

    def popper(self, queues: Sequence[str]) -> MemoryPopper:
        self.poppers.append(MemoryPopper(self, queues))
        return self.poppers[-1]

    async def settle_popped(self, queue: str, others: Sequence[tuple[bytes, Settlement]]) -> None:
        await self.trip()
        for raw, settlement in others:
            self.queues[queue].settle(raw, settlement)

    async def renew(self, queue: str, wid: str) -> bool:
        await self.trip()
        self.renewed.append((queue, wid))
        return True

    async def promote(self, queue: str, limit: int = 200) -> tuple[int, int | None]:
        await self.trip()
        return 0, None

    async def due_bell(self, queue: str, timeout_s: float) -> bool:
        await self.trip()
        await asyncio.sleep(timeout_s)
        return False

    async def registered(self, queue: str) -> list[Registered]:
        await self.trip()
        return self.rows

    async def reap(self, queue: str, wid: str, *, forced: bool) -> int | None:
        await self.trip()
        self.reaped.append((queue, wid, forced))
        mine = self.queues[queue].inflight.pop(wid, None)
        if mine is None:
            return None
        for raw in reversed(mine.values()):
            self.queues[queue].ready.appendleft(raw)
        return len(mine)

    async def ping(self) -> None:
        await self.trip()

    async def close(self) -> None: ...
