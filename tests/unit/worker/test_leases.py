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
