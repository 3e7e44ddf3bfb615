"""The keeper: carries out the supervisor's orders, also when Redis is away for a while."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from asyncq.core.blame import Blame
from asyncq.core.contact import Contact
from asyncq.core.doors import Reaped
from asyncq.core.errors import BrokerRefusedError
from asyncq.core.nulls import NullObserver
from asyncq.maintenance import keeper as keeper_module
from asyncq.maintenance.keeper import Keeper, Maintenance
from tests.support.memory_broker import MemoryBroker
from tests.support.states import until


class RefusingBroker(MemoryBroker):
    """Refuses to reap and to renew on the queues in `refusing`; counts how often it was asked to."""

    asked = 0

    async def reap(
        self, queue: str, wid: str, *, forced: bool, blame: Blame = Blame.NOBODY, culprit: int = 0
    ) -> Reaped | None:
        self._refuse(queue)
        return await super().reap(queue, wid, forced=forced, blame=blame, culprit=culprit)

    async def renew(self, queue: str, wid: str) -> bool:
        self._refuse(queue)
        return await super().renew(queue, wid)

    def _refuse(self, queue: str) -> None:
        if queue in self.refusing:
            self.asked += 1
            raise BrokerRefusedError("switched on by the test")


@asynccontextmanager
async def keeping(broker: MemoryBroker) -> AsyncIterator[tuple[Keeper, list[dict[str, Any]]]]:
    confirmed: list[dict[str, Any]] = []
    contact = Contact(Random(1))
    maintenance = Maintenance(broker, NullObserver(), contact)
    keeper = Keeper(broker, maintenance, NullObserver(), confirmed.append, 0.01, contact)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(maintenance.run()), group.create_task(keeper.run())]
        yield keeper, confirmed
        for task in tasks:
            task.cancel()


async def test_a_reap_is_carried_out_and_then_confirmed() -> None:
    broker = MemoryBroker("a", "b")
    for queue in "ab":
        registration = await broker.register(queue, "w1")
        broker.queues[queue].inflight[registration.wid] = {1: b"one", 2: b"two"}
    async with keeping(broker) as (keeper, confirmed):
        keeper.order({"type": "reap", "seq": 7, "incarnations": [["w1", ["a", "b"]]], "blame": "killed"})
        await until(lambda: confirmed)

    assert [{"type": "reaped", "seq": 7}] == confirmed
    assert [("a", "w1", True), ("b", "w1", True)] == broker.reaped
    assert [b"one", b"two"] == list(broker.queues["a"].ready)


async def test_only_the_culprit_is_blamed_when_one_is_named() -> None:
    broker = MemoryBroker("a", "b")
    order = {"type": "reap", "seq": 7, "incarnations": [["w1", ["a", "b"]], ["w2", ["b"]]], "blame": "crashed"}
    async with keeping(broker) as (keeper, confirmed):
        keeper.order({**order, "culprit": {"queue": "b", "wid": "w1", "token": -3}})
        await until(lambda: confirmed)

    assert [("a", "w1", True), ("b", "w1", True), ("b", "w2", True)] == broker.reaped
    assert [0, -3, 0] == broker.culprits
    assert [Blame.NOBODY] * 3 == broker.blamed


async def test_an_empty_list_reaps_nothing_and_is_confirmed() -> None:
    broker = MemoryBroker()
    await broker.register("q", "w1")
    async with keeping(broker) as (keeper, confirmed):
        keeper.order({"type": "reap", "seq": 1, "incarnations": [], "blame": "killed"})
        await until(lambda: confirmed)

    assert [] == broker.reaped


async def test_nothing_is_confirmed_before_redis_answered() -> None:
    broker = MemoryBroker()
    await broker.register("q", "w1")
    broker.away = True
    async with keeping(broker) as (keeper, confirmed):
        keeper.order({"type": "reap", "seq": 1, "incarnations": [["w1", ["q"]]], "blame": "killed"})
        before = broker.trips
        await until(lambda: broker.trips > before + 4)
        assert [] == confirmed
        broker.away = False
        await until(lambda: confirmed)

    assert [("q", "w1", True)] == broker.reaped


async def test_the_leases_of_the_living_are_renewed_and_of_nobody_else() -> None:
    broker = MemoryBroker()
    async with keeping(broker) as (keeper, _):
        keeper.order({"type": "live", "incarnations": [["w1", ["q"]], ["w2", ["q"]]]})
        await until(lambda: len(broker.renewed) > 4)
        keeper.order({"type": "live", "incarnations": [["w2", ["q"]]]})
        await until(lambda: broker.renewed[-1] == ("q", "w2"))
        broker.renewed.clear()
        await until(lambda: len(broker.renewed) > 2)

    assert {("q", "w2")} == set(broker.renewed)


async def test_nobody_is_told_that_redis_is_back_before_it_answered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    broker = MemoryBroker()
    broker.away = True
    async with keeping(broker) as (keeper, _):
        keeper.order({"type": "reap", "seq": 1, "incarnations": [["w1", ["q"]]], "blame": "killed"})
        await until(lambda: broker.trips > 6)  # renewing nobody meanwhile, which always works

    assert ["redis is away, trying again"] == [record.message for record in caplog.records]


async def test_an_order_that_comes_before_the_loops_run_is_not_lost() -> None:
    broker = MemoryBroker()
    await broker.register("q", "w1")
    async with keeping(broker) as (keeper, confirmed):
        keeper.order(
            {"type": "reap", "seq": 1, "incarnations": [["w1", ["q"]]], "blame": "killed"}
        )  # nothing has run yet
        await until(lambda: confirmed)
        await until(lambda: broker.trips > 3)  # promoter and reaper of the queue work

    assert [("q", "w1", True)] == broker.reaped


async def test_what_redis_refuses_to_reap_blocks_no_other_queue_and_no_later_order() -> None:
    broker = RefusingBroker("bad", "good")
    broker.refusing.add("bad")
    async with keeping(broker) as (keeper, confirmed):
        keeper.order({"type": "reap", "seq": 1, "incarnations": [["w1", ["bad", "good"]]], "blame": "killed"})
        keeper.order({"type": "reap", "seq": 2, "incarnations": [["w2", ["good"]]], "blame": "killed"})
        await until(lambda: confirmed)

    assert [{"type": "reaped", "seq": 2}] == confirmed
    assert [("good", "w1", True), ("good", "w2", True)] == broker.reaped


async def test_what_redis_refused_to_reap_is_tried_again_after_a_pause_and_confirmed_when_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper_module, "REFUSED_PAUSE_S", 0.05)
    broker = RefusingBroker("bad", "good")
    broker.refusing.add("bad")
    async with keeping(broker) as (keeper, confirmed):
        keeper.order({"type": "reap", "seq": 1, "incarnations": [["w1", ["bad", "good"]]], "blame": "killed"})
        await until(lambda: broker.asked > 1)
        assert [] == confirmed
        broker.refusing.clear()
        await until(lambda: confirmed)

    assert [{"type": "reaped", "seq": 1}] == confirmed
    assert [("good", "w1", True), ("bad", "w1", True)] == broker.reaped


async def test_a_refused_reap_is_not_repeated_without_a_pause() -> None:
    broker = RefusingBroker("bad", "good")
    broker.refusing.add("bad")
    async with keeping(broker) as (keeper, confirmed):
        keeper.order({"type": "live", "incarnations": [["w2", ["good"]]]})
        keeper.order({"type": "reap", "seq": 1, "incarnations": [["w1", ["bad"]]], "blame": "killed"})
        await until(lambda: len(broker.renewed) > 8)  # Redis answers all the time

    assert (1, []) == (broker.asked, confirmed)


async def test_a_queue_whose_renewal_is_refused_spoils_no_other() -> None:
    broker = RefusingBroker("bad", "good")
    broker.refusing.add("bad")
    async with keeping(broker) as (keeper, _):
        keeper.order({"type": "live", "incarnations": [["w1", ["bad", "good"]], ["w2", ["good"]]]})
        await until(lambda: len(broker.renewed) > 3)

    assert {("good", "w1"), ("good", "w2")} == set(broker.renewed)
