"""The feeder: moves messages from Redis to the consumers and settlements back, in as few round trips as it can.

At-least-once source of a worker. One coroutine runs `exchange` (settle what ended, take what can run) for one queue
after the other; when a queue is empty a `wait` rings the bell for it. Decides how much and when; the broker knows how.

Look-ahead: besides one message per free consumer it takes what this process is expected to finish within
`AHEAD_S` at its current rate, so that consumers of short tasks do not wait for the round trip.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from asyncq.core.contact import Contact
from asyncq.core.doors import Batch, Observer, Registration, Slot, Taken
from asyncq.core.errors import BrokerError, BrokerRefusedError, RegistrationLostError
from asyncq.core.settlement import RELEASE, Settlement
from asyncq.worker import leaving
from asyncq.worker.bell import Bell
from asyncq.worker.lane import Lane, Rate
from asyncq.worker.source import Delivery, Origin
from asyncq.worker.suspects import Suspects

log = logging.getLogger("asyncq.worker")

AHEAD_S: Final = 0.010
GROUP_LIMIT: Final = 64
GROUP_WAIT_S: Final = 0.002
REST_S: Final = 1.0


class Feeder:
    """Implements worker.source.Source.

    Args:
        consumers: K, the number of consumers to keep busy.
        observer: Is told of late settlements.
        contact: Waits when Redis is away.
        on_lost: Called with a lane whose incarnation was reaped.
        slot: Is told when a take was answered, and that a suspect runs here alone.
        rng: Spreads what many processes would do at the same moment.

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
        on_lost: Callable[[Lane], None],
        slot: Slot,
        rng: Random,
    ) -> None:
        self.ready: deque[Delivery] = deque()
        self.lanes: list[Lane] = []
        self.settled = 0
        self.outstanding = 0
        self._consumers = consumers
        self._observer, self._contact, self._on_lost = observer, contact, on_lost
        self._slot, self._suspects = slot, Suspects(rng, slot, self._look)
        self._solitude = self._suspects.solitude
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
        if lane.lost:  # to be refused, so it is not even sent
            lane.batch = Batch()
            self._count_late(lane, 1)
        if self._solitude.running:
            self._suspects.ended()
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

    def _look(self) -> None:
        """A busy process begins to make room for a suspect or gives it up, or takes again: an exchange of each lane."""
        for lane in self.lanes:
            lane.rang = True  # after it, the next moment to make room is known
        self.kick()

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
        again = bool(len(lane.batch)) or lane.rang or self._can_take(lane) or self._may_be_alone(lane)
        while again and not lane.lost:
            again = await self._exchange(lane)
        self._listen(lane)

    def _may_be_alone(self, lane: Lane) -> bool:
        """Whether a suspect of this lane is to be taken, and nothing else."""
        return self._taking and self._suspects.may_run(lane.queue, self.outstanding)

    def _wanted(self) -> tuple[int, int]:
        """(free consumers, look-ahead beyond them)."""
        if not self._taking or self._suspects.holds():
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
        alone = self._may_be_alone(lane)
        room, ahead = (0, 0) if alone else self._wanted()
        try:
            async with lane.lock:
                taken = await lane.registration.exchange(batch, room, ahead, alone=alone)
        except RegistrationLostError as error:
            self._lose(lane, error.late + len(lane.batch))  # the latter ended while this was under way
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
        self._slot.set_taken()
        self._slot.set_load(self.outstanding, self.settled)  # whoever dies now had settled something
        self._accept(lane, taken)
        found = len(taken.raws) + taken.oversized
        if taken.suspects or self._solitude.suspected or alone:
            self._suspects.saw(lane.queue, taken, alone, room)
        if not self._taking:  # somebody stopped it while this was under way
            self._give_back()
            self._suspects.forget_time()
        self._rate.note(self.settled, time.perf_counter())
        lane.empty = found < room
        more = 0 < room <= found or (alone and not taken.raws)  # refused a suspect, it has not asked for the others yet
        return (more and self._can_take(lane)) or self._may_be_alone(lane)

    def _accept(self, lane: Lane, taken: Taken) -> None:
        """Give the messages to the consumers, waking as many as there is work for."""
        if taken.late:
            self._count_late(lane, taken.late)
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
        if self.outstanding >= self._consumers or self._suspects.holds():
            lane.empty = False  # ask again as soon as a consumer is free
            lane.bell.hush_soon()
        elif lane.empty:
            lane.bell.listen()

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

    def _lose(self, lane: Lane, late: int) -> None:
        """The incarnation was reaped: drop what was not started; what comes late is counted as it comes."""
        lane.lost = True
        lane.bell.close_soon()
        self.lanes.remove(lane)
        kept = [delivery for delivery in self.ready if delivery[0] is not lane]
        dropped = len(self.ready) - len(kept)
        self.ready.clear()
        self.ready.extend(kept)
        lane.held -= dropped
        self.outstanding -= dropped
        if self._solitude.running and not self.outstanding:
            self._suspects.ended()
        lane.batch = Batch()
        fields = {"queue": lane.queue, "wid": lane.registration.wid, "running": lane.held, "dropped": dropped}
        log.warning("lease lost", extra=fields)
        self._count_late(lane, late)
        self._on_lost(lane)

    def _count_late(self, lane: Lane, count: int) -> None:
        """The message had been handed back: what became of it here is refused."""
        if count:
            self._observer.counted("late_settlements", lane.queue, count)
            log.warning("late settlements refused", extra={"queue": lane.queue, "count": count})

    def stop_taking(self) -> None:
        """See Source.stop_taking."""
        self._taking = False
        self._give_back()
        self.kick()

    def resume(self) -> None:
        """See Source.resume."""
        self._taking = True
        self._look()

    def give_back(self, lane: Lane) -> None:
        """Nothing more of this lane is started here: what was not goes back, as soon as Redis can be told."""
        mine = [delivery for delivery in self.ready if delivery[0] is lane]
        others = [delivery for delivery in self.ready if delivery[0] is not lane]
        self.ready.clear()
        self.ready.extend(others)
        self._release(mine)

    def _give_back(self) -> None:
        mine = list(self.ready)
        self.ready.clear()
        self._release(mine)

    def _release(self, unstarted: list[Delivery]) -> None:
        self.settled -= len(unstarted)
        for lane, token, raw in unstarted:
            self.settle(lane, token, raw, RELEASE)

    async def hush(self) -> None:
        """See Source.hush."""
        await leaving.hush(self.lanes)

    async def leave(self) -> int:
        """See Source.leave."""
        return await leaving.leave(list(self.lanes), self._left)

    def _left(self, lane: Lane, late: int) -> None:
        self.lanes.remove(lane)
        self._count_late(lane, late)

    async def close(self) -> None:
        """See Source.close."""
        self._suspects.forget_time()
        for lane in self.lanes:
            await lane.bell.close()
