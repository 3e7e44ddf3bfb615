"""Leases: one queue's trouble is its own, and the slot page names every incarnation before it is registered."""

from collections.abc import Sequence

import pytest

from asyncq.core.nulls import NullSlot
from tests.support.memory_broker import MemoryBroker, MemoryRegistration
from tests.support.states import until
from tests.unit.worker.bench import Bench, message, working

ORDERS = [("bad", "good"), ("good", "bad")]


class Page(NullSlot):
    """A slot page that can be read."""

    def __init__(self) -> None:
        self.named: set[tuple[str, str]] = set()

    def set_incarnations(self, incarnations: Sequence[tuple[str, Sequence[str]]]) -> None:
        self.named = {(wid, queue) for wid, queues in incarnations for queue in queues}


class WatchedBroker(MemoryBroker):
    """Notes which incarnations were registered without being on the page."""

    def __init__(self, page: Page, *queues: str) -> None:
        super().__init__(*queues)
        self.page = page
        self.unnamed: list[tuple[str, str]] = []

    async def register(self, queue: str, wid: str) -> MemoryRegistration:
        if (wid, queue) not in self.page.named:
            self.unnamed.append((wid, queue))
        return await super().register(queue, wid)


async def test_a_queue_that_is_lost_while_another_registers_is_on_the_page_before_it_is_registered() -> None:
    page = Page()
    broker = WatchedBroker(page, "a", "b")
    async with working(Bench(broker, slot=page)):
        await until(lambda: len(broker.registrations) == 2)
        old = broker.registrations[0].wid
        for queue in ("a", "b"):
            await broker.reap(queue, old, forced=True)
        await until(lambda: len(broker.registrations) == 4)
        held = {(wid, queue) for queue, store in broker.queues.items() for wid in store.inflight}

        assert ([], held) == (broker.unnamed, page.named)


@pytest.mark.parametrize("queues", ORDERS)
async def test_a_refused_queue_keeps_no_other_from_being_registered_and_renewed(queues: tuple[str, str]) -> None:
    broker = MemoryBroker(*queues)
    broker.refusing.add("bad")
    async with working(Bench(broker)) as bench:
        await until(lambda: [queue for queue, _ in broker.renewed].count("good") > 3)
        broker.queues["bad"].push(message("note", "mended"))
        broker.refusing.clear()
        await until(lambda: bench.seen == ["mended"])


@pytest.mark.parametrize("queues", ORDERS)
async def test_a_refused_renewal_stops_no_other(queues: tuple[str, str]) -> None:
    broker = MemoryBroker(*queues)
    async with working(Bench(broker)):
        await until(lambda: len(broker.registrations) == 2)
        broker.refusing.add("bad")
        broker.renewed.clear()
        await until(lambda: [queue for queue, _ in broker.renewed].count("good") > 20, timeout_s=2)
        broker.refusing.clear()


async def test_the_bell_of_a_lost_incarnation_is_closed() -> None:
    broker = MemoryBroker()
    async with working(Bench(broker)):
        await until(lambda: broker.registrations and broker.registrations[0].waiting)
        await broker.reap("q", broker.registrations[0].wid, forced=True)
        await until(lambda: len(broker.registrations) == 2)
        await until(lambda: broker.registrations[0].closed)
        assert not broker.registrations[0].waiting


@pytest.mark.parametrize("cancel_lost", [False, True])
async def test_what_runs_is_cancelled_only_when_asked_for_and_nobody_renewed_for_a_lease(cancel_lost: bool) -> None:
    broker = MemoryBroker()
    bench = Bench(broker, consumers=2, cancel_lost=cancel_lost, lease_s=0.3)
    broker.queues["q"].push(message("hold", 1))
    async with working(bench):
        await until(lambda: bench.seen == [1])
        renewed = len(broker.renewed)
        await until(lambda: len(broker.renewed) > renewed + 20)  # a lease and more, with Redis there
        assert not bench.worker.handed_back
        broker.away = True
        asked = broker.trips
        if cancel_lost:
            await until(lambda: bench.worker._runnings[0].handed_back + bench.worker._runnings[1].handed_back == 1)
            broker.away = False
            await until(lambda: bench.seen == [1, 1])  # nobody had reaped us: it went back and runs again
        else:
            await until(lambda: broker.trips > asked + 8)
            broker.away = False
            bench.gate.set()
            await until(lambda: bench.observer.ended)
            assert bench.seen == [1]

    assert bench.worker.complete


async def test_what_runs_is_cancelled_at_once_when_the_registration_is_gone_and_that_is_asked_for() -> None:
    broker = MemoryBroker()
    bench = Bench(broker, consumers=2, cancel_lost=True)
    broker.queues["q"].push(message("hold", 1))
    async with working(bench):
        await until(lambda: bench.seen == [1])
        await broker.reap("q", broker.registrations[0].wid, forced=True)
        await until(lambda: bench.seen == [1, 1])  # by the new incarnation
        assert bench.observer.counts["late_settlements"] == 1
        bench.gate.set()
        await until(lambda: [ended[2] for ended in bench.observer.ended].count("succeeded") == 1)

    assert 0 == bench.worker.handed_back  # that was no drain
