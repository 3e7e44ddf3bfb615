"""At least once: the end of a worker. What ended is written first, and no wait or refusal keeps the rest back."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.memory_broker import MemoryBroker
from tests.support.states import until
from tests.unit.worker.bench import Bench, message, payloads


def said(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {record.getMessage() for record in caplog.records}


async def cancelled_as_its_handler_ends(bench: Bench, before: Callable[[], object] = lambda: None) -> None:
    """The settlement is not yet written when `run` is cancelled."""
    tasks: list[asyncio.Future[None]] = []

    @bench.registry.task("last")
    async def last(payload: object) -> None:
        bench.seen.append(payload)
        await bench.gate.wait()
        before()
        tasks[0].cancel()

    bench.broker.queues["q"].push(message("last", 1))
    tasks.append(asyncio.ensure_future(bench.worker.run()))
    await until(lambda: bench.seen and bench.broker.registrations[0].waiting)
    bench.gate.set()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]


@pytest.mark.parametrize("waking", ["refused", "lost"])
async def test_a_wait_that_cannot_be_ended_keeps_no_outcome_back_and_leaves_a_tombstone(waking: str) -> None:
    broker = MemoryBroker()
    broker.waking = waking
    bench = Bench(broker)
    await cancelled_as_its_handler_ends(bench)

    assert (True, [], {}) == (bench.worker.complete, payloads(broker), broker.queues["q"].inflight)
    assert {broker.registrations[0].wid} == broker.queues["q"].tombstones
    assert broker.registrations[0].closed


@pytest.mark.parametrize(
    ("waking", "expected"), [("refused", {"redis refuses to end a wait, it ends by itself"}), ("lost", set())]
)
async def test_a_drain_does_not_wait_for_a_wait_that_cannot_be_ended(
    waking: str, expected: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    broker = MemoryBroker()
    broker.waking = waking
    bench = Bench(broker)
    task = asyncio.ensure_future(bench.worker.run())
    await until(lambda: broker.registrations and broker.registrations[0].waiting)
    bench.worker.drain()
    async with asyncio.timeout(2):
        await task

    assert (True, expected) == (bench.worker.complete, {text for text in said(caplog) if "redis" in text})


@pytest.mark.parametrize("queues", [("bad", "good"), ("good", "bad")])
async def test_a_refused_queue_keeps_no_other_from_leaving(
    queues: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    broker = MemoryBroker(*queues)
    bench = Bench(broker)
    for queue in queues:
        broker.queues[queue].push(message("hold", queue))
    task = asyncio.ensure_future(bench.worker.run())
    await until(lambda: len(bench.seen) == 2)
    broker.refusing.add("bad")
    bench.worker.cancel()
    async with asyncio.timeout(5):
        await task

    assert (["good"], {}) == (payloads(broker, "good"), broker.queues["good"].inflight)
    assert (False, True) == (bench.worker.complete, "redis is away" not in " ".join(said(caplog)))
    assert "left without settling all: redis refuses; a reap will hand back what was held" in said(caplog)
    assert [True, True] == [registration.closed for registration in broker.registrations]


async def test_an_outage_is_said_and_closes_the_connections_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker("a", "b")
    bench = Bench(broker)
    task = asyncio.ensure_future(bench.worker.run())
    await until(lambda: len(broker.registrations) == 2 and all(lane.waiting for lane in broker.registrations))
    broker.away = True
    bench.worker.cancel()
    async with asyncio.timeout(5):
        await task

    assert "left without settling: redis is away; a reap will hand back what was held" in said(caplog)
    assert [True, True] == [registration.closed for registration in broker.registrations]


async def test_what_an_exchange_under_way_brings_is_not_started_in_the_drain_but_handed_back() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)
    broker.queues["q"].push(message("hold", "runs through the drain"))
    task = asyncio.ensure_future(bench.worker.run())
    await until(lambda: bench.seen)
    broker.answers.clear()
    broker.queues["q"].push(*(message("note", number) for number in range(3)))
    await until(lambda: not broker.queues["q"].ready)
    bench.worker.drain()
    broker.answers.set()
    await until(lambda: len(bench.seen) > 1 or payloads(broker) == [0, 1, 2])
    bench.gate.set()
    async with asyncio.timeout(5):
        await task

    assert (["runs through the drain"], [0, 1, 2]) == (bench.seen, payloads(broker))


async def test_what_arrived_just_before_the_drain_is_not_started() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)
    broker.queues["q"].push(message("hold", 1))
    broker.answers.clear()
    task = asyncio.ensure_future(bench.worker.run())
    await until(lambda: any(broker.queues["q"].inflight.values()))
    broker.answers.set()
    await asyncio.sleep(0)  # one turn: the message is here, its consumer not yet awake
    bench.worker.cancel()
    async with asyncio.timeout(5):
        await task

    assert ([], [1]) == (bench.seen, payloads(broker))


class TestLateSettlements:
    async def test_every_one_is_counted_once_also_what_ended_while_the_loss_was_found(self) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, renew_s=60.0)
        gates = [asyncio.Event() for _ in range(4)]

        @bench.registry.task("gated")
        async def gated(payload: int) -> None:
            bench.seen.append(payload)
            await gates[payload].wait()

        broker.queues["q"].push(*(message("gated", number) for number in range(4)))
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: len(bench.seen) == 4)
        await broker.reap("q", broker.registrations[0].wid, forced=True)
        broker.queues["q"].ready.clear()
        broker.answers.clear()
        gates[0].set()
        await until(lambda: broker.registrations[0].exchanges[-1][0] == 1)
        gates[1].set()
        gates[2].set()
        await until(lambda: len(bench.observer.ended) == 3)
        broker.answers.set()
        await until(lambda: bench.observer.counts)
        gates[3].set()
        await until(lambda: len(bench.observer.ended) == 4)
        bench.worker.drain()
        await task

        assert {"late_settlements": 4} == bench.observer.counts

    async def test_they_are_counted_when_the_loss_is_found_on_leaving(self) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, renew_s=60.0)
        await cancelled_as_its_handler_ends(bench, lambda: broker.queues["q"].inflight.clear())

        assert {"late_settlements": 1} == bench.observer.counts
