"""The feeder: moves messages from Redis to the consumers and settlements back, in as few round trips as it can.

At-least-once source of a worker. One coroutine runs `exchange` (settle what ended, take what can run) for one queue
after the other; when a queue is empty a `wait` rings the bell for it. Decides how much and when; the broker knows how.

Look-ahead: besides one message per free consumer it takes what this process is expected to finish within
`AHEAD_S` at its current rate, so that consumers of short tasks do not wait for the round trip.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

from asyncq.core.contact import Contact
from asyncq.core.doors import Batch, Observer, Registration, Taken
from asyncq.core.errors import BrokerError, BrokerRefusedError
from asyncq.core.settlement import RELEASE, Settlement
from asyncq.worker.bell import Bell
from asyncq.worker.lane import Lane, Rate
from asyncq.worker.source import Delivery, Origin

log = logging.getLogger("asyncq.worker")

T = TypeVar("T")

AHEAD_S: Final = 0.010
GROUP_LIMIT: Final = 64
GROUP_WAIT_S: Final = 0.002
REST_S: Final = 1.0
HUSH_S: Final = 0.5


class Feeder:
    """Implements worker.source.Source.

    Args:
        consumers: K, the number of consumers to keep busy.
        observer: Is told of late settlements.
        contact: Waits when Redis is away.
        on_lost: Called with the queue of a lane whose incarnation was reaped.

    Attributes:
        settled: Messages ended since the start.
        outstanding: Messages taken and not yet ended, running or ready.
    """

    def __init__(
        self,
        consumers: int,
        *,
        observer: Observer,
        contact: Contact,
        on_lost: Callable[[str], None],
    ) -> None:
        self.ready: deque[Delivery] = deque()
        self.lanes: list[Lane] = []
        self.settled = 0
        self.outstanding = 0
        self._consumers = consumers
        self._observer, self._contact, self._on_lost = observer, contact, on_lost
        self._loop = asyncio.get_running_loop()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._kicked = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._taking = True
        self._rate = Rate(time.perf_counter())

    # -- the consumers' side ------------------------------------------------------------------------------------

    async def next(self, index: int) -> Delivery:
        """See Source.next."""
        while not self.ready:
            if not all(lane.empty for lane in self.lanes):
                self._kicked.set()  # starving beside a queue that may have more
            future: asyncio.Future[None] = self._loop.create_future()
            self._idle.append(future)
            await future
        return self.ready.popleft()

    def complete(self, origin: Origin, token: int) -> None:
        """See Source.complete."""
        origin.batch.completed.append(token)  # type: ignore[attr-defined] # our origins are lanes
        self._ended(origin)  # type: ignore[arg-type]

    def settle(self, origin: Origin, token: int, raw: bytes, settlement: Settlement) -> None:
        """See Source.settle."""
        origin.batch.others.append((token, raw, settlement))  # type: ignore[attr-defined]
        self._ended(origin)  # type: ignore[arg-type]

    def _ended(self, lane: Lane) -> None:
        lane.held -= 1
        self.outstanding -= 1
        self.settled += 1
        if self._timer is None:
            self._timer = self._loop.call_later(GROUP_WAIT_S, self.kick)
        if len(lane.batch.completed) == GROUP_LIMIT:
            self._kicked.set()

    # -- the feeding side ---------------------------------------------------------------------------------------

    def add(self, registration: Registration) -> Lane:
        """Begin to serve a registration."""
        lane = Lane(registration)
        lane.bell = Bell(registration, self._contact, partial(self._bell_ended, lane))
        self.lanes.append(lane)
        self.kick()
        return lane

    def grow(self, count: int) -> None:
        """See Source.grow."""
        self._consumers += count
        self.kick()

    def kick(self) -> None:
        """Settlements have waited long enough, or there may be something to take: go round the lanes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._kicked.set()

    async def run(self) -> None:
        """Feed until cancelled."""
        while True:
            await self._kicked.wait()
            self._kicked.clear()
            for lane in list(self.lanes):
                await self._serve(lane)

    async def _serve(self, lane: Lane) -> None:
        """Write what waits; take as long as there is room and the queue gives all that was asked for."""
        if lane.resting:
            return
        again = bool(len(lane.batch)) or lane.rang or self._can_take(lane)
        while again and not lane.lost:
            again = await self._exchange(lane)
        self._listen(lane)

    def _wanted(self) -> tuple[int, int]:
        """(free consumers, look-ahead beyond them)."""
        if not self._taking:
            return 0, 0
        free = self._consumers - self.outstanding
        return max(0, free), max(0, self._rate.expected(AHEAD_S) + min(0, free))

    def _can_take(self, lane: Lane) -> bool:
        """With every consumer busy the look-ahead is refilled when half of it is used: fewer, larger round trips."""
        if lane.empty:
            return False
        room, ahead = self._wanted()
        return room > 0 or ahead > self._rate.expected(AHEAD_S) // 2

    async def _exchange(self, lane: Lane) -> bool:
        """One round trip. True when another one should follow at once."""
        batch, lane.batch = lane.batch, Batch()
        rang, lane.rang = lane.rang, False
        room, ahead = self._wanted()
        try:
            async with lane.lock:
                taken = await lane.registration.exchange(batch, room, ahead)
        except LookupError:
            self._lose(lane, len(batch) + len(lane.batch))  # the latter ended while this was under way
            return False
        except asyncio.CancelledError:
            lane.put_back(batch)  # sent again by leave(): a settlement that already happened does not happen twice
            raise
        except BrokerError as error:
            lane.put_back(batch)
            lane.rang = rang
            await self._rest(lane, error)
            return False
        self._contact.made()
        self._accept(lane, taken)
        if not self._taking:  # the drain began while this was under way
            self._give_back()
        self._rate.note(self.settled, time.perf_counter())
        found = len(taken.raws) + taken.oversized
        lane.empty = found < room
        return 0 < room <= found and self._can_take(lane)

    def _accept(self, lane: Lane, taken: Taken) -> None:
        """Give the messages to the consumers, waking as many as there is work for."""
        if taken.late:
            self._observer.counted("late_settlements", lane.queue, taken.late)
            log.warning("late settlements refused", extra={"queue": lane.queue, "count": taken.late})
        if taken.oversized:
            self._observer.counted("oversized", lane.queue, taken.oversized)
        count = len(taken.raws)
        if count and len(self.lanes) > 1:  # others first next time: a long queue must not starve them
            self.lanes.remove(lane)
            self.lanes.append(lane)
        self.ready.extend((lane, token, raw) for token, raw in zip(taken.tokens, taken.raws, strict=True))
        lane.held += count
        self.outstanding += count
        while self._idle and count:
            future = self._idle.popleft()
            if not future.done():  # its consumer was cancelled
                future.set_result(None)
                count -= 1

    # -- the bell -----------------------------------------------------------------------------------------------

    def _listen(self, lane: Lane) -> None:
        """Wait for an empty queue; stop waiting while the process is full, so that others get the next message."""
        if lane.lost or not self._taking:
            return
        full = self.outstanding >= self._consumers
        if lane.empty and not full:
            lane.bell.listen()
        elif lane.empty:
            lane.empty = False  # ask again as soon as a consumer is free
            lane.bell.hush_soon()

    def _bell_ended(self, lane: Lane, rang: bool) -> None:
        lane.rang = lane.rang or rang
        lane.empty = False
        self.kick()

    # -- trouble and leaving ------------------------------------------------------------------------------------

    async def _rest(self, lane: Lane, error: BrokerError) -> None:
        """Redis is away: wait. It refuses this queue alone: leave that out for a while, the others go on."""
        if not isinstance(error, BrokerRefusedError):
            await self._contact.failed(error)
            self.kick()
            return
        self._contact.refused(error)
        lane.resting = True
        self._loop.call_later(REST_S, self._wake_up, lane)

    def _wake_up(self, lane: Lane) -> None:
        lane.resting = False
        self.kick()

    def _lose(self, lane: Lane, unsent: int) -> None:
        """The incarnation was reaped: drop what was not started, refuse what comes later, count both."""
        lane.lost = True
        lane.bell.close_soon()
        self.lanes.remove(lane)
        kept = [delivery for delivery in self.ready if delivery[0] is not lane]
        dropped = len(self.ready) - len(kept)
        self.ready.clear()
        self.ready.extend(kept)
        lane.held -= dropped
        self.outstanding -= dropped
        self._count_late(lane, unsent, dropped)
        self._on_lost(lane.queue)

    def _count_late(self, lane: Lane, unsent: int, dropped: int) -> None:
        """All that this process still has of a lost lane, but for what it never started, comes too late."""
        self._observer.counted("late_settlements", lane.queue, unsent + lane.held)
        fields = {"queue": lane.queue, "wid": lane.registration.wid, "running": lane.held, "dropped": dropped}
        log.warning("lease lost", extra=fields)

    def stop_taking(self) -> None:
        """Begin the drain: nothing new is taken, what was not started goes back to the head of its queue."""
        self._taking = False
        self._give_back()
        self.kick()

    def _give_back(self) -> None:
        self.settled -= len(self.ready)
        for lane, token, raw in self.ready:
            self.settle(lane, token, raw, RELEASE)
        self.ready.clear()

    async def quiet(self) -> None:
        """End the waits on the server; one that cannot be ended within `HUSH_S` is left to `leave`.

        Raises:
            BrokerError: Redis is away or refuses; then the waits end by themselves.
        """
        await _all_of([self._hush(lane) for lane in self.lanes])

    async def _hush(self, lane: Lane) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HUSH_S):
                await lane.bell.hush()

    async def leave(self) -> int:
        """Write what is left, end the waits, withdraw every registration. May be repeated.

        Every lane for itself: trouble with one keeps no other back.

        Returns: how many messages went back.

        Raises:
            BrokerError: Redis is away or refuses; what this process held is handed back by a reap.
        """
        return sum(await _all_of([self._leave(lane) for lane in self.lanes]))

    async def _leave(self, lane: Lane) -> int:
        returned = 0
        try:
            async with lane.lock:
                if len(lane.batch):
                    await lane.registration.exchange(lane.batch, 0, 0)  # first: it must not wait for a wait
                    lane.batch = Batch()
                with contextlib.suppress(BrokerError):  # a wait that goes on makes `withdraw` leave a tombstone
                    await self._hush(lane)  # a worker that was cancelled comes here without `quiet`
                returned = await lane.registration.withdraw()
        except LookupError:
            self._count_late(lane, len(lane.batch), 0)
        await lane.bell.close()
        self.lanes.remove(lane)
        return returned

    async def close(self) -> None:
        """See Source.close."""
        for lane in self.lanes:
            await lane.bell.close()


async def _all_of(doing: list[Coroutine[Any, Any, T]]) -> list[T]:
    """Everything to its end side by side, then the first error if there was one."""
    results = await asyncio.gather(*doing, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results  # type: ignore[return-value] # no exception among them
