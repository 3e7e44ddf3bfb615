"""A quiet worker takes nothing and goes on with what it has; afterwards it works as before."""

import asyncio
import logging
import os
import signal
from typing import Any

import pytest

from asyncq.worker import solitude
from tests.support.memory_broker import MemoryBroker
from tests.support.states import until
from tests.unit.worker.bench import MODES, Bench, message, payloads, working
from tests.unit.worker.life import Process


def is_waiting(broker: MemoryBroker) -> bool:
    """Somebody waits on the server, in either mode."""
    return any(entry.waiting for entry in broker.registrations) or any(popper.blocked for popper in broker.poppers)


async def hushed(broker: MemoryBroker) -> None:
    await until(lambda: not is_waiting(broker), what="every wait has ended")


def held(broker: MemoryBroker) -> list[int]:
    return [len(held) for held in broker.queues["q"].inflight.values()]


@pytest.mark.parametrize("at_most_once", MODES)
class TestQuiet:
    async def test_what_runs_is_settled_the_rest_goes_back_in_order_and_is_run_after_it(
        self, at_most_once: bool
    ) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, at_most_once, consumers=2)
        broker.queues["q"].push(*(message("hold", number) for number in range(6)))
        async with working(bench):
            await until(lambda: len(bench.seen) == 2)
            assert bench.worker.quiet()
            await until(lambda: payloads(broker) == [2, 3, 4, 5])
            bench.gate.set()
            await until(lambda: len(bench.observer.ended) == 2)
            await until(lambda: at_most_once or held(broker) == [0])
            await hushed(broker)
            assert ([0, 1], [2, 3, 4, 5]) == (bench.seen, payloads(broker))
            assert bench.worker.resume()
            await until(lambda: len(bench.seen) == 6)

        assert [0, 1, 2, 3, 4, 5] == sorted(bench.seen)

    async def test_an_idle_one_is_not_woken_by_what_comes(self, at_most_once: bool) -> None:
        broker = MemoryBroker()
        async with working(Bench(broker, at_most_once)) as bench:
            await until(lambda: is_waiting(broker))
            bench.worker.quiet()
            await hushed(broker)
            broker.queues["q"].push(message("note", 1))
            trips = broker.trips
            await until(lambda: at_most_once or broker.trips > trips + 5)  # renewals go on
            assert ([], [1]) == (bench.seen, payloads(broker))
            bench.worker.resume()
            await until(lambda: bench.seen == [1])

    async def test_it_waits_for_messages_again_afterwards(self, at_most_once: bool) -> None:
        broker = MemoryBroker()
        async with working(Bench(broker, at_most_once)) as bench:
            for number in range(3):
                await until(lambda: is_waiting(broker))
                bench.worker.quiet()
                await hushed(broker)
                bench.worker.resume()
                await until(lambda: is_waiting(broker))
                broker.queues["q"].push(message("note", number))
                await until(lambda count=number + 1: len(bench.seen) == count)

    async def test_one_that_is_resumed_at_once_works_on(self, at_most_once: bool) -> None:
        broker = MemoryBroker()
        broker.queues["q"].push(*(message("note", number) for number in range(500)))
        async with working(Bench(broker, at_most_once)) as bench:
            while len(bench.seen) < 500:
                bench.worker.quiet()
                await asyncio.sleep(0)
                bench.worker.resume()
                await asyncio.sleep(0.001)  # sleeps: some work in between

        assert list(range(500)) == sorted(bench.seen)

    async def test_what_a_take_under_way_brings_goes_back(self, at_most_once: bool) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, at_most_once)
        broker.queues["q"].push(*(message("note", number) for number in range(3)))
        broker.answers.clear()
        async with working(bench):
            await until(lambda: len(broker.queues["q"].ready) < 3)
            bench.worker.quiet()
            broker.answers.set()
            await until(lambda: payloads(broker) == [0, 1, 2])
            assert [] == bench.seen

    async def test_one_that_starts_quiet_takes_nothing_before_it_is_resumed(self, at_most_once: bool) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, at_most_once)
        assert bench.worker.quiet()
        broker.queues["q"].push(message("note", 1))
        async with working(bench):
            await until(lambda: at_most_once or len(broker.renewed) > 2)
            assert ([], [1]) == (bench.seen, payloads(broker))
            bench.worker.resume()
            await until(lambda: bench.seen == [1])

    async def test_one_that_is_resumed_before_it_starts_takes(self, at_most_once: bool) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, at_most_once)
        bench.worker.quiet()
        bench.worker.resume()
        broker.queues["q"].push(message("note", 1))
        async with working(bench):
            await until(lambda: bench.seen == [1])

    async def test_only_a_change_is_one(self, at_most_once: bool) -> None:
        bench = Bench(MemoryBroker(), at_most_once)
        async with working(bench):
            worker = bench.worker
            assert [False, True, False, True, False] == [
                change() for change in (worker.resume, worker.quiet, worker.quiet, worker.resume, worker.resume)
            ]

    async def test_it_drains(self, at_most_once: bool) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, at_most_once)
        broker.queues["q"].push(message("hold", 1))
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: bench.seen == [1])
        bench.worker.quiet()
        bench.worker.drain()
        broker.queues["q"].push(message("note", 2))
        assert (False, False) == (bench.worker.resume(), bench.worker.quiet())
        bench.gate.set()
        async with asyncio.timeout(5):
            await task

        assert ([1], [2]) == (bench.seen, payloads(broker))
        assert bench.worker.complete

    async def test_it_stays_quiet_when_redis_goes_and_comes_back(self, at_most_once: bool) -> None:
        broker = MemoryBroker()
        async with working(Bench(broker, at_most_once)) as bench:
            broker.queues["q"].push(message("hold", 1))
            await until(lambda: bench.seen == [1])
            broker.away = True
            bench.worker.quiet()
            bench.gate.set()
            await until(lambda: bench.observer.ended)
            broker.queues["q"].push(message("note", 2))
            broker.away = False
            await until(lambda: at_most_once or held(broker) == [0])
            assert ([1], [2]) == (bench.seen, payloads(broker))
            bench.worker.resume()
            await until(lambda: bench.seen == [1, 2])


async def test_a_block_that_cannot_be_ended_takes_nothing_and_is_no_hindrance_afterwards() -> None:
    broker = MemoryBroker()
    broker.waking = "lost"
    async with working(Bench(broker, at_most_once=True, consumers=2)) as bench:
        await until(lambda: sum(popper.blocked for popper in broker.poppers) == 2)
        bench.worker.quiet()
        broker.queues["q"].push(message("note", 1))
        await until(lambda: payloads(broker) == [1])
        assert [] == bench.seen
        bench.worker.resume()
        await until(lambda: bench.seen == [1])
        broker.waking = "done"


async def test_blocks_are_left_alone_again_when_it_is_resumed_before_they_ended() -> None:
    broker = MemoryBroker()
    broker.waking = "lost"
    async with working(Bench(broker, at_most_once=True, consumers=2)) as bench:
        await until(lambda: sum(popper.blocked for popper in broker.poppers) == 2)
        bench.worker.quiet()
        await until(lambda: "hush" in {task.get_name() for task in asyncio.all_tasks()})
        bench.worker.resume()
        await until(lambda: "hush" not in {task.get_name() for task in asyncio.all_tasks()})
        assert 2 == sum(popper.blocked for popper in broker.poppers)
        broker.waking = "done"


async def test_one_that_was_reaped_registers_anew_and_takes_nothing() -> None:
    broker = MemoryBroker()
    async with working(Bench(broker)) as bench:
        await until(lambda: is_waiting(broker))
        bench.worker.quiet()
        await broker.reap("q", broker.registrations[0].wid, forced=True)
        await until(lambda: len(broker.registrations) == 2)
        broker.queues["q"].push(message("note", 1))
        renewals = len(broker.renewed)
        await until(lambda: len(broker.renewed) > renewals + 3)
        assert ([], [1]) == (bench.seen, payloads(broker))
        bench.worker.resume()
        await until(lambda: bench.seen == [1])


class TestSuspects:
    async def test_none_is_taken_before_it_is_resumed(self) -> None:
        broker = MemoryBroker()
        async with working(Bench(broker)) as bench:
            await until(lambda: is_waiting(broker))
            bench.worker.quiet()
            broker.queues["q"].suspects.append(message("note", "suspect"))
            renewals = len(broker.renewed)
            await until(lambda: len(broker.renewed) > renewals + 3)
            assert [] == bench.seen
            bench.worker.resume()
            await until(lambda: bench.seen == ["suspect"])

    async def test_one_that_is_known_is_left_to_others_without_a_round_trip(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(solitude, "PAUSE_S", 0.0)
        monkeypatch.setattr(solitude, "PATIENCE_S", 0.0)
        broker = MemoryBroker()
        bench = Bench(broker)
        broker.queues["q"].suspects.append(message("note", "suspect"))
        broker.queues["q"].push(message("hold", 1))
        async with working(bench):
            await until(lambda: bench.seen == [1])
            bench.worker.quiet()
            bench.gate.set()
            await until(lambda: held(broker) == [0])
            await hushed(broker)
            exchanges, renewals = len(broker.registrations[0].exchanges), len(broker.renewed)
            await until(lambda: len(broker.renewed) > renewals + 3)
            assert [1] == bench.seen
            assert len(broker.registrations[0].exchanges) <= exchanges + 1
            bench.worker.resume()
            await until(lambda: bench.seen == [1, "suspect"])

    async def test_one_that_runs_alone_goes_on_and_ordinary_work_comes_after_it(self) -> None:
        broker = MemoryBroker()
        async with working(Bench(broker)) as bench:
            broker.queues["q"].suspects.append(message("hold", "suspect"))
            await until(lambda: bench.seen == ["suspect"])
            bench.worker.quiet()
            broker.queues["q"].push(message("note", 1))
            bench.gate.set()
            await until(lambda: held(broker) == [0])
            assert [1] == payloads(broker)
            bench.worker.resume()
            await until(lambda: bench.seen == ["suspect", 1])

    async def test_a_busy_one_that_was_making_room_goes_on_with_that(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(solitude, "PAUSE_S", 0.01)
        broker = MemoryBroker()
        bench = Bench(broker, consumers=2)
        broker.queues["q"].suspects.append(message("note", "suspect"))
        broker.queues["q"].push(message("hold", 1))
        async with working(bench):
            await until(lambda: bench.seen[:1] == [1] or "suspect" in bench.seen)
            bench.worker.quiet()
            bench.worker.resume()
            bench.gate.set()
            broker.queues["q"].push(*(message("note", number) for number in range(2, 50)))
            await until(lambda: len(bench.seen) == 50)

        seen: list[Any] = bench.seen
        assert {"suspect", *range(1, 50)} == set(seen)


class TestSignals:
    def test_each_change_is_said_once(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        process, sent = Process(), 0

        def all_heard() -> bool:
            nonlocal sent
            numbers = [signal.SIGCONT, *[signal.SIGTSTP] * 2, *[signal.SIGCONT] * 2]
            if sent < len(numbers):  # one a turn: the loop hears of each
                os.kill(os.getpid(), numbers[sent])
                sent += 1
                return False
            return True

        assert 0 == process.run(ends_when=all_heard)
        assert ["quiet: takes nothing until SIGCONT", "takes again", "draining"] == caplog.messages

    def test_one_that_is_told_to_starts_quiet(self) -> None:
        process, ready = Process(message("did", "message")), False

        def is_renewed() -> bool:
            nonlocal ready
            if not ready and len(process.broker.renewed) > 3:
                ready = True
                process.did.append("still quiet")
                os.kill(os.getpid(), signal.SIGCONT)
            return "message" in process.did

        assert 0 == process.run(ends_when=is_renewed, quiet=True)
        assert ["ready", "still quiet", "message", "closed"] == process.did
