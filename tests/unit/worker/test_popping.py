"""At most once: whatever leaves Redis is run, settled or given back, also when the drain begins at the worst moment."""

import asyncio
import hashlib

import pytest

from tests.support.memory_broker import MemoryBroker
from tests.support.states import until
from tests.unit.worker.bench import Bench, message, payloads, working


def consumers_live() -> bool:
    return any(task.get_name().startswith("consumer") for task in asyncio.all_tasks())


def blocked(broker: MemoryBroker) -> int:
    return sum(popper.blocked for popper in broker.poppers)


async def drained(task: "asyncio.Future[None]") -> None:
    async with asyncio.timeout(5):
        await task


async def fetched() -> "tuple[MemoryBroker, Bench, asyncio.Future[None]]":
    """Of five messages two run, two were fetched by the second consumer for the others, one was not."""
    broker = MemoryBroker()
    bench = Bench(broker, at_most_once=True)
    broker.queues["q"].push(*(message("hold", number) for number in range(5)))
    broker.answers.clear()
    task = asyncio.ensure_future(bench.worker.run())
    for popped in (1, 4):
        await until(lambda count=popped: broker.poppers and broker.poppers[0].popped == count)
        broker.answers.set()
        await asyncio.sleep(0)  # one turn: the reply is read, the other consumers are not yet awake
        broker.answers.clear()
    broker.answers.set()
    assert ([0, 1], 2) == (bench.seen, len(bench.worker._source.ready))
    return broker, bench, task


class TestDrain:
    async def test_what_a_pop_under_way_brings_goes_back_in_order(self) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, at_most_once=True, consumers=3)
        broker.queues["q"].push(*(message("note", number) for number in range(5)))
        broker.answers.clear()
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: broker.poppers and broker.poppers[0].popped)
        bench.worker.drain()
        await asyncio.wait([task], timeout=0.1)
        assert not task.done()  # it is waited for: what it brings exists nowhere else
        broker.answers.set()
        await drained(task)

        assert ([], [0, 1, 2, 3, 4]) == (bench.seen, payloads(broker))
        assert 0 == bench.worker._source.settled

    async def test_what_was_fetched_and_not_started_goes_back_in_order(self) -> None:
        broker, bench, task = await fetched()
        bench.worker.drain()
        bench.gate.set()
        await drained(task)

        assert ([0, 1], [2, 3, 4]) == (bench.seen, payloads(broker))

    async def test_nobody_blocks_any_more_when_a_pop_under_way_brings_nothing(self) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, at_most_once=True, consumers=2)
        broker.queues["q"].push(message("hold", "runs through the drain"))
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: bench.seen and blocked(broker))
        broker.answers.clear()
        trips = broker.trips
        broker.queues["q"].push(message("note", "and its consumer asks for more"))
        await until(lambda: broker.trips > trips)
        blocks = [popper.blocks for popper in broker.poppers]
        bench.worker.drain()
        broker.answers.set()
        bench.gate.set()
        await drained(task)

        assert blocks == [popper.blocks for popper in broker.poppers]

    async def test_a_block_that_cannot_be_ended_is_waited_for(self) -> None:
        broker = MemoryBroker()
        broker.waking, broker.longest_block_s = "refused", 0.3
        bench = Bench(broker, at_most_once=True, consumers=2)
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: blocked(broker) == 2)
        bench.worker.drain()
        await drained(task)

        assert [0, 0] == [popper.abandoned for popper in broker.poppers]

    async def test_what_a_block_brings_in_the_drain_goes_back(self) -> None:
        broker = MemoryBroker()
        broker.waking = "lost"
        bench = Bench(broker, at_most_once=True, consumers=1)
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: blocked(broker))
        bench.worker.drain()
        broker.queues["q"].push(message("note", 1))
        await drained(task)

        assert ([], [1]) == (bench.seen, payloads(broker))

    async def test_handlers_are_cancelled_at_once_although_a_block_goes_on(self) -> None:
        broker = MemoryBroker()
        broker.waking = "lost"
        bench = Bench(broker, at_most_once=True, consumers=2)
        broker.queues["q"].push(message("hold", 1))
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: bench.seen and blocked(broker))
        bench.worker.cancel()
        await until(lambda: bench.observer.ended)

        assert ("q", "hold", "cancelled", "") == bench.observer.ended[0]
        broker.waking = "done"
        await drained(task)

    async def test_a_retry_whose_reply_is_under_way_at_the_end_is_written_once(self) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, at_most_once=True)

        @bench.registry.task("fail")
        async def fail(payload: object) -> None:
            bench.seen.append(payload)
            await bench.gate.wait()
            raise ValueError("again")

        broker.queues["q"].push(message("fail"))
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: bench.seen)
        bench.worker.drain()
        broker.answers.clear()
        bench.gate.set()
        await until(lambda: broker.queues["q"].scheduled and not consumers_live())
        broker.answers.set()
        await drained(task)

        assert 1 == len(broker.queues["q"].scheduled)

    async def test_cancelling_the_worker_itself_hands_back_what_runs_and_what_was_fetched(self) -> None:
        broker, _, task = await fetched()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drained(task)

        assert [0, 1, 2, 3, 4] == sorted(payloads(broker))


class TestRefusedQueue:
    @pytest.mark.parametrize("queues", [("bad", "good"), ("good", "bad")])
    async def test_it_stops_no_other_and_is_served_again_when_it_is_mended(self, queues: tuple[str, str]) -> None:
        broker = MemoryBroker(*queues)
        broker.refusing.add("bad")
        broker.longest_block_s = 0.05
        async with working(Bench(broker, at_most_once=True)) as bench:
            broker.queues["good"].push(*(message("note", number) for number in range(20)))
            await until(lambda: len(bench.seen) == 20)
            await until(lambda: blocked(broker))
            broker.queues["good"].push(message("note", "blocked for"))
            await until(lambda: len(bench.seen) == 21)
            broker.queues["bad"].push(message("note", "mended"))
            broker.refusing.clear()
            await until(lambda: bench.seen[-1] == "mended")

    async def test_when_all_are_refused_it_asks_again_and_again(self) -> None:
        broker = MemoryBroker("bad")
        broker.refusing.add("bad")
        async with working(Bench(broker, at_most_once=True)) as bench:
            await until(lambda: broker.trips > 10)
            broker.queues["bad"].push(message("note", 1))
            broker.refusing.clear()
            await until(lambda: bench.seen == [1])

    async def test_its_retries_keep_those_of_others_not_back(self) -> None:
        broker = MemoryBroker("bad", "good")
        bench = Bench(broker, at_most_once=True)

        @bench.registry.task("fail")
        async def fail(payload: object) -> None:
            bench.seen.append(payload)
            await bench.gate.wait()
            raise ValueError("again")

        async with working(bench):
            for queue in ("bad", "good"):
                broker.queues[queue].push(message("fail", queue))
            await until(lambda: len(bench.seen) == 2)
            broker.refusing.add("bad")
            bench.gate.set()
            await until(lambda: broker.queues["good"].scheduled)
            assert [] == broker.queues["bad"].scheduled
            broker.refusing.clear()
            await until(lambda: broker.queues["bad"].scheduled)

        assert [1, 1] == [len(broker.queues[queue].scheduled) for queue in ("bad", "good")]


@pytest.mark.parametrize("idle", [False, True], ids=["popped together", "blocked for"])
async def test_an_oversized_message_becomes_a_dead_letter_of_which_the_beginning_is_kept(idle: bool) -> None:
    broker = MemoryBroker()
    bench = Bench(broker, at_most_once=True, max_message_bytes=70_000)
    raw, fitting = message("note", "x" * 80_000, id="big"), message("note", "y" * 60_000, id="fits")
    if not idle:
        broker.queues["q"].push(raw, fitting)
    async with working(bench):
        await until(lambda: not idle or blocked(broker) == 4)
        if idle:
            broker.queues["q"].push(raw, fitting)
        await until(lambda: bench.seen and broker.queues["q"].dead)

    details = {"size_bytes": len(raw), "sha1": hashlib.sha1(raw).hexdigest()}
    assert [("oversized", raw[:65_536], details)] == broker.queues["q"].dead
    assert ({"oversized": 1}, 1) == (bench.observer.counts, len(bench.seen))
