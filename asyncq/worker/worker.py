"""Worker: the consumers of one process and everything that keeps them supplied, from start to drain.

Built by the roof (or by `asyncq.simple`) with a Broker; run in one event loop. Start and shutdown order are written
in `run` and `_drain`, where they happen.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from asyncq.core import clock
from asyncq.core.codec import MAX_MESSAGE_BYTES
from asyncq.core.contact import Contact
from asyncq.core.doors import Broker, Observer, Slot
from asyncq.core.errors import BrokerError, BrokerRefusedError
from asyncq.core.nulls import NullObserver, NullSlot
from asyncq.core.outcome import Kind
from asyncq.core.registry import Registry
from asyncq.core.settlement import SettlementRules
from asyncq.worker.consumer import Consumer
from asyncq.worker.deadlines import tick
from asyncq.worker.executor import Executor
from asyncq.worker.feeder import Feeder
from asyncq.worker.lane import Lane
from asyncq.worker.leases import Leases
from asyncq.worker.popping import Popping
from asyncq.worker.running import Running
from asyncq.worker.source import Source
from asyncq.worker.threads import Threads
from asyncq.worker.turns import Turns

log = logging.getLogger("asyncq.worker")

DRAIN_POLL_S: Final = 0.01
LEAVE_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker is told.

    Attributes:
        queues: Asked in turn, so that a long one does not starve the others.
        consumers: K, messages run at the same time; default 50.
        at_most_once: Plain BLPOP: a crash loses what the process held. Default False.
        renew_s: Seconds between lease renewals.
        lease_s: Seconds a lease lasts after its last renewal.
        cancel_lost: Cancel what runs when its lease was lost, or might be as far as this process can know: no message
            then runs twice at the same moment, if its handler obeys. Default False: it goes on, and is refused at its
            end if others were given the message.
        max_message_bytes: At most once: larger messages become dead letters; default 1 MiB. At least once it is the
            broker's, which does not even ship them.
        rules: See SettlementRules.
    """

    queues: Sequence[str]
    consumers: int = 50
    at_most_once: bool = False
    renew_s: float = 3.0
    lease_s: float = 15.0
    cancel_lost: bool = False
    max_message_bytes: int = MAX_MESSAGE_BYTES
    rules: SettlementRules = field(default_factory=SettlementRules)


class Worker:
    """One process's worker.

    Args:
        broker: Owned by the caller; not closed here.
        registry: Handlers by name.
        settings: See WorkerSettings.
        slot: This process's page in the supervisor's shared memory, if there is a supervisor.
        observer: Is told what happens to tasks.
        rng: Draws jitter.

    Attributes:
        complete: False when Redis was away at the end, so that others will have to reap what this process held.
    """

    def __init__(
        self,
        broker: Broker,
        registry: Registry,
        settings: WorkerSettings,
        *,
        slot: Slot | None = None,
        observer: Observer | None = None,
        rng: Random | None = None,
    ) -> None:
        self._broker, self._registry, self._settings = broker, registry, settings
        self._slot: Slot = slot or NullSlot()
        self._observer: Observer = observer or NullObserver()
        self._rng = rng or Random()
        self._draining = asyncio.Event()
        self._cancelling = asyncio.Event()
        self._runnings: list[Running] = []
        self._start_one: Callable[[], asyncio.Task[None]] | None = None
        self._source: Source | None = None
        self._quiet = False
        self._services: list[asyncio.Task[None]] = []
        self._hush_beside: Callable[[], asyncio.Task[None]] | None = None
        self._handed_back_before = 0
        self.complete = True

    @property
    def handed_back(self) -> int:
        """Attempts that the drain cancelled and handed back; not those that finished all the same."""
        return sum(running.handed_back for running in self._runnings) - self._handed_back_before

    def drain(self) -> None:
        """Take nothing more, finish what runs, then return from `run`."""
        if not self._draining.is_set():
            self._handed_back_before = sum(running.handed_back for running in self._runnings)
        self._draining.set()
        if self._source is not None:
            self._source.stop_taking()  # at once: no handler is started any more by what arrives in this moment

    def quiet(self) -> bool:
        """Take nothing more until `resume`: what was not started goes back, what runs goes on and is settled.

        The process stays registered. Also before `run`. Returns False if that changes nothing: it is quiet already, or
        drains.
        """
        if self._quiet or self._draining.is_set():
            return False
        self._quiet = True
        self._fall_quiet()
        return True

    def resume(self) -> bool:
        """Take again. Returns False if that changes nothing: it is not quiet, or drains."""
        if not self._quiet or self._draining.is_set():
            return False
        self._quiet = False
        if self._source is not None:
            self._source.resume()
        return True

    def cancel(self) -> None:
        """As drain, but running handlers are cancelled and their messages go back to the head of the queue."""
        self.drain()
        self._cancelling.set()

    def grow(self, count: int) -> None:
        """Run `count` messages more at the same time. Only while `run` consumes."""
        assert self._source is not None
        assert self._start_one is not None
        self._source.grow(count)
        for _ in range(count):
            self._start_one()

    async def run(self) -> None:
        """Consume until drained.

        Cancelling this coroutine hands everything back, too, without waiting for the drain. Only at most once loses
        what was just on its way from Redis.
        """
        contact = Contact(self._rng, self._slot.set_redis_seen)
        threads = Threads()
        leases, source = self._make_source(contact)
        self._source = source
        consumers: list[asyncio.Task[None]] = []
        try:
            async with asyncio.TaskGroup() as group:
                services = self._services = [group.create_task(source.run(), name="feeder")]
                self._hush_beside = lambda: group.create_task(self._hush(source), name="hush")
                if self._quiet:  # it may have been asked for before there was a source
                    self._fall_quiet()
                if leases is not None and isinstance(source, Feeder):
                    services.append(group.create_task(leases.run(source), name="leases"))
                self._start_one = self._starter(group, source, threads, consumers)
                for _ in range(self._settings.consumers):
                    self._start_one()
                services.append(group.create_task(tick(self._runnings, lambda: self._tick(source)), name="ticker"))
                await self._draining.wait()
                source.stop_taking()  # as above
                await self._drain(source, self._hush_beside())
                for task in consumers + services:
                    task.cancel()
        finally:
            try:
                await self._leave(source, contact)
            finally:
                await source.close()
                threads.close()

    def _make_source(self, contact: Contact) -> tuple[Leases | None, Source]:
        settings = self._settings
        if settings.at_most_once:
            return None, Popping(
                self._broker,
                settings.queues,
                settings.consumers,
                observer=self._observer,
                contact=contact,
                slot=self._slot,
                max_message_bytes=settings.max_message_bytes,
            )
        leases = Leases(self._broker, settings.queues, self._slot, settings.renew_s, settings.lease_s, contact)

        def lost(lane: Lane) -> None:
            leases.lost(lane.queue)
            if settings.cancel_lost:
                self._cancel_lane(lane)

        feeder = Feeder(
            settings.consumers,
            observer=self._observer,
            contact=contact,
            on_lost=lost,
            slot=self._slot,
            rng=self._rng,
        )
        return leases, feeder

    def _starter(
        self, group: asyncio.TaskGroup, source: Source, threads: Threads, consumers: list[asyncio.Task[None]]
    ) -> Callable[[], asyncio.Task[None]]:
        """A function that starts one more consumer."""
        executor = Executor(self._registry.lookup(), threads)
        turns = Turns(asyncio.get_running_loop(), self._slot.beat)

        def start() -> asyncio.Task[None]:
            consumer = Consumer(
                len(consumers),
                source,
                executor,
                observer=self._observer,
                rules=self._settings.rules,
                turns=turns,
                rng=self._rng,
            )
            self._runnings.append(consumer.running)
            consumers.append(group.create_task(consumer.run(), name=f"consumer {len(consumers)}"))
            return consumers[-1]

        return start

    def _tick(self, source: Source) -> None:
        self._slot.beat()
        self._slot.set_load(source.outstanding, source.settled)
        if self._settings.cancel_lost and isinstance(source, Feeder):
            for lane in source.lanes:
                if lane.kept_until_mono <= clock.mono_s():
                    lane.kept_until_mono = math.inf  # until the next renewal that is answered
                    source.give_back(lane)
                    self._cancel_lane(lane)

    def _cancel_lane(self, lane: Lane) -> None:
        """Its messages may be running elsewhere now, or soon."""
        count = sum(running.cancel(Kind.RELEASED) for running in self._runnings if running.origin is lane)
        log.warning("lease may be lost, running tasks are cancelled", extra={"queue": lane.queue, "count": count})

    def _fall_quiet(self) -> None:
        if self._source is not None and self._hush_beside is not None:
            self._source.stop_taking()
            self._services.append(self._hush_beside())

    async def _drain(self, source: Source, hush: asyncio.Task[None]) -> None:
        """Consumers first, because handlers must end; the feeder writes meanwhile; leases are renewed to the end."""
        cancelled = False
        while source.outstanding or not hush.done():
            if self._cancelling.is_set() and not cancelled:
                cancelled = True
                count = sum(running.cancel(Kind.RELEASED) for running in self._runnings)
                log.info("running tasks are cancelled and handed back", extra={"count": count})
            await asyncio.sleep(DRAIN_POLL_S)

    async def _hush(self, source: Source) -> None:
        """Beside the rest, so that a cancellation does not wait for Redis."""
        try:
            await source.hush()
        except BrokerRefusedError as error:
            log.warning("redis refuses to end a wait, it ends by itself", extra={"error": str(error)})
        except BrokerError as error:
            log.warning("redis is away while waits are to end", extra={"error": str(error)})

    async def _leave(self, source: Source, contact: Contact) -> None:
        refused = False
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                while True:
                    try:
                        returned = await source.leave()
                        if returned:
                            log.info("left", extra={"handed_back": returned})
                        return
                    except BrokerError as error:
                        refused = isinstance(error, BrokerRefusedError)
                        await contact.failed(error)
        except TimeoutError:
            self.complete = False
            if refused:
                log.warning("left without settling all: redis refuses; a reap will hand back what was held")
            else:
                log.warning("left without settling: redis is away; a reap will hand back what was held")
