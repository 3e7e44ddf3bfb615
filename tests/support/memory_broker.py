"""The Broker doors in memory, for unit tests of the worker and the maintenance loops. Faults can be switched on."""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator, Sequence

from asyncq.core.blame import Blame
from asyncq.core.doors import Batch, Reaped, Registered, Taken
from asyncq.core.errors import BrokerRefusedError, BrokerUnavailableError, RegistrationLostError
from asyncq.core.settlement import DeadLetter, Release, Reschedule, Settlement
from tests.support.states import until


class MemoryQueue:
    """One queue's keys."""

    def __init__(self) -> None:
        self.ready: deque[bytes] = deque()
        self.suspects: deque[bytes] = deque()
        self.scheduled: list[tuple[float, bytes]] = []
        self.dead: list[tuple[str, bytes, dict[str, object]]] = []
        self.inflight: dict[str, dict[int, bytes]] = {}
        self.tombstones: set[str] = set()
        self.pushed = asyncio.Event()

    def push(self, *raws: bytes) -> None:
        self.ready.extend(raws)
        self.pushed.set()

    def settle(self, raw: bytes, settlement: Settlement, *, alone: bool = False) -> None:
        if isinstance(settlement, Reschedule):
            self.scheduled.append((settlement.delay_s, settlement.raw))
        elif isinstance(settlement, DeadLetter):
            self.dead.append((settlement.reason, raw, settlement.details))
        elif isinstance(settlement, Release):
            (self.suspects if alone else self.ready).appendleft(raw)


class MemoryRegistration:
    """Implements Registration."""

    def __init__(self, broker: "MemoryBroker", queue: str, wid: str) -> None:
        self.queue, self.wid, self._broker = queue, wid, broker
        self._tokens = itertools.count(1)
        self.alone = 0
        self._woken = asyncio.Event()
        self.waiting = self.closed = self.suspected = False
        self.wakes = 0
        self.exchanges: list[tuple[int, int, int]] = []

    @property
    def _store(self) -> MemoryQueue:
        return self._broker.queues[self.queue]

    async def exchange(self, batch: Batch, room: int, ahead: int, *, alone: bool = False) -> Taken:
        self.exchanges.append((len(batch), room, ahead))
        self.suspected = False
        await self._broker.trip(self.queue)
        mine = self._store.inflight.get(self.wid)
        if mine is None:
            await self._broker.answers.wait()
            raise RegistrationLostError(self.wid, len(batch))
        late = sum(mine.pop(token, None) is None for token in batch.completed)
        for token, raw, settlement in sorted(batch.others, key=lambda other: -other[0]):  # as the door promises
            if mine.pop(token, None) is None:
                late += 1
            else:
                self._store.settle(raw, settlement, alone=token < 0)
        if alone:
            return self._take_suspect(mine, late)
        raws = [self._store.ready.popleft() for _ in range(min(room + ahead, len(self._store.ready)))]
        tokens = [next(self._tokens) for _ in raws]
        mine.update(zip(tokens, raws, strict=True))
        await self._broker.answers.wait()
        return Taken(tokens, raws, late, 0, len(self._store.suspects))

    def _take_suspect(self, mine: dict[int, bytes], late: int) -> Taken:
        self.alone += 1
        if mine or not self._store.suspects:
            return Taken([], [], late, 0, len(self._store.suspects))
        token, raw = -next(self._tokens), self._store.suspects.popleft()
        mine[token] = raw
        return Taken([token], [raw], late, 0, len(self._store.suspects))

    async def wait(self, timeout_s: float) -> bool:
        if self.suspected:
            return True
        await self._broker.trip(self.queue)
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
        self.wakes += 1
        if self._broker.wake_up():
            self._woken.set()

    async def renew(self) -> bool:
        self._broker.renewed.append((self.queue, self.wid))
        await self._broker.trip(self.queue)
        self.suspected = bool(self._store.suspects)
        return self.wid in self._store.inflight

    async def withdraw(self) -> int:
        await self._broker.trip(self.queue)
        if self.waiting:
            self._store.tombstones.add(self.wid)
        mine = self._store.inflight.pop(self.wid, {})
        for raw in reversed(mine.values()):
            self._store.ready.appendleft(raw)
        return len(mine)

    async def close(self) -> None:
        self.closed = True


class MemoryPopper:
    """Implements Popper.

    Attributes:
        popped: Messages that left the queue through `pop_many`.
        blocks: How often `pop` was called.
        abandoned: How often `pop` was cancelled: with Redis, what it was about to bring would be lost.
    """

    def __init__(self, broker: "MemoryBroker", queues: Sequence[str]) -> None:
        self._broker, self._queues = broker, queues
        self._woken = asyncio.Event()
        self.blocked = False
        self.popped = self.blocks = self.abandoned = 0

    async def pop(self, timeout_s: float) -> tuple[str, bytes] | None:
        self.blocks += 1
        await self._broker.trip(*self._queues)
        self.blocked = True
        self._woken.clear()
        try:
            async with asyncio.timeout(min(timeout_s, self._broker.longest_block_s)):
                await until(lambda: self._woken.is_set() or any(self._waiting()), timeout_s=float("inf"))
                if not self._woken.is_set():
                    queue = next(self._waiting())
                    return queue, self._broker.queues[queue].ready.popleft()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self.blocked = False
        return None

    def _waiting(self) -> Iterator[str]:
        """Queues in which something waits, the first first."""
        return (queue for queue in self._queues if self._broker.queues[queue].ready)

    async def pop_many(self, queue: str, count: int) -> list[bytes]:
        await self._broker.trip(queue)
        ready = self._broker.queues[queue].ready
        raws = [ready.popleft() for _ in range(min(count, len(ready)))]
        self.popped += len(raws)
        await self._broker.answers.wait()
        return raws

    async def wake(self) -> None:
        if self._broker.wake_up():
            self._woken.set()

    async def close(self) -> None: ...


class MemoryBroker:
    """Implements Broker.

    Attributes:
        away: While True every call raises BrokerUnavailableError.
        refusing: Queues of which every call raises BrokerRefusedError.
        answers: While it is not set, exchanges, pops and writes are carried out and their replies are under way.
        waking: What becomes of a wake-up: "done", "refused", or "lost" as on a half-open connection.
        longest_block_s: When a pop that is not woken ends, instead of its own time-out.
        reaped: (queue, wid, forced) of every reap.
        blamed: What the same reaps said of the end.
        culprits: The tokens that the same reaps held to blame alone; 0 = none.
    """

    def __init__(self, *queues: str) -> None:
        self.queues = {queue: MemoryQueue() for queue in queues or ("q",)}
        self.registrations: list[MemoryRegistration] = []
        self.poppers: list[MemoryPopper] = []
        self.away = False
        self.trips = 0
        self.refusing: set[str] = set()
        self.answers = asyncio.Event()
        self.answers.set()
        self.waking = "done"
        self.longest_block_s = 3600.0
        self.reaped: list[tuple[str, str, bool]] = []
        self.blamed: list[Blame] = []
        self.culprits: list[int] = []
        self.renewed: list[tuple[str, str]] = []
        self.rows: list[Registered] = []
        self._numbers = itertools.count(1)

    async def trip(self, *queues: str) -> None:
        self.trips += 1
        await asyncio.sleep(0)
        if self.away:
            raise BrokerUnavailableError("switched off by the test")
        if not self.refusing.isdisjoint(queues):
            raise BrokerRefusedError("switched on by the test")

    def wake_up(self) -> bool:
        if self.waking == "refused":
            raise BrokerRefusedError("wake-ups are refused by the test")
        return self.waking == "done"

    def incarnation(self) -> str:
        return f"host:1:{next(self._numbers)}"

    async def register(self, queue: str, wid: str) -> MemoryRegistration:
        await self.trip(queue)
        self.queues[queue].inflight[wid] = {}
        self.registrations.append(MemoryRegistration(self, queue, wid))
        return self.registrations[-1]

    def popper(self, queues: Sequence[str]) -> MemoryPopper:
        self.poppers.append(MemoryPopper(self, queues))
        return self.poppers[-1]

    async def settle_popped(self, queue: str, others: Sequence[tuple[bytes, Settlement]]) -> None:
        await self.trip(queue)
        for raw, settlement in reversed(others):  # releases keep their order at the head, as with Redis
            self.queues[queue].settle(raw, settlement)
        await self.answers.wait()

    async def renew(self, queue: str, wid: str) -> bool:
        await self.trip()
        self.renewed.append((queue, wid))
        return True

    async def promote(self, queue: str, limit: int = 200) -> tuple[int, int | None]:
        await self.trip()
        return 0, None

    async def due_bell(self, queue: str, timeout_s: float) -> bool:
        await self.trip()
        await asyncio.sleep(timeout_s)  # sleeps: a bell that nobody rings lasts its time
        return False

    async def registered(self, queue: str) -> list[Registered]:
        await self.trip()
        return self.rows

    async def reap(
        self, queue: str, wid: str, *, forced: bool, blame: Blame = Blame.NOBODY, culprit: int = 0
    ) -> Reaped | None:
        await self.trip()
        self.reaped.append((queue, wid, forced))
        self.blamed.append(blame)
        self.culprits.append(culprit)
        mine = self.queues[queue].inflight.pop(wid, None)
        if mine is None:
            return None
        for raw in reversed(mine.values()):
            self.queues[queue].ready.appendleft(raw)
        return Reaped(len(mine))

    async def ping(self) -> None:
        await self.trip()

    async def close(self) -> None: ...
