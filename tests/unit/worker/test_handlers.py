"""What a handler may do without harm to its consumer: raise anything, swallow its cancellation, block a thread."""

import asyncio
import threading
from random import Random

import pytest

from asyncq.core.errors import Retry
from asyncq.core.outcome import Kind
from asyncq.core.registry import Registry
from asyncq.core.retry import RetryPolicy
from asyncq.worker.executor import Executor
from asyncq.worker.running import Running
from asyncq.worker.threads import Threads
from tests.support.memory_broker import MemoryBroker
from tests.support.states import until
from tests.unit.worker.bench import MODES, Bench, message, working


class Strange(BaseException):
    """What some libraries raise to get past `except Exception`."""


@pytest.mark.parametrize("is_async", [True, False], ids=["async def", "def"])
async def test_an_exception_of_a_base_kind_of_its_own_is_a_failure_like_any_other(is_async: bool) -> None:
    broker = MemoryBroker()
    bench = Bench(broker, consumers=1)

    async def strange(payload: object) -> None:
        raise Strange("mine")

    def strange_in_a_thread(payload: object) -> None:
        raise Strange("mine")

    bench.registry.task("strange")(strange if is_async else strange_in_a_thread)
    async with working(bench):
        broker.queues["q"].push(message("strange"), message("note", "after"))
        await until(lambda: bench.seen == ["after"])

    assert ("q", "strange", "retried", "Strange") == bench.observer.ended[0]
    assert 1 == len(broker.queues["q"].scheduled)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
async def test_what_is_not_the_handlers_passes(kind: type[BaseException]) -> None:
    registry = Registry()

    @registry.task("interrupted")
    async def interrupted(payload: object) -> None:
        raise kind

    running = Running()
    with pytest.raises(kind):
        await Executor(registry.lookup(), Threads()).run("q", message("interrupted"), running)

    assert not running.in_handler


async def test_a_def_handler_that_raises_stop_iteration_fails_and_frees_its_consumer() -> None:
    broker = MemoryBroker()
    bench = Bench(broker, consumers=1)

    @bench.registry.task("first")
    def first(payload: list[object]) -> object:
        return next(iter(payload))

    async with working(bench):
        broker.queues["q"].push(message("first", []), message("note", "after"))
        await until(lambda: bench.seen == ["after"])

    assert ("q", "first", "retried", "RuntimeError") == bench.observer.ended[0]


async def test_a_message_for_which_no_settlement_can_be_made_is_a_dead_letter_and_ends_nobody() -> None:
    broker = MemoryBroker()
    bench = Bench(broker, consumers=1)

    class Broken(RetryPolicy):
        def delay_s(self, attempt: int, rng: Random) -> float:
            raise TypeError("no such delay")

    @bench.registry.task("fail", retry=Broken())
    async def fail(payload: object) -> None:
        raise ValueError("broken")

    async with working(bench):
        broker.queues["q"].push(message("fail"), message("note", "after"))
        await until(lambda: bench.seen == ["after"])

    assert [("malformed", message("fail"), {"error": "TypeError: no such delay"})] == broker.queues["q"].dead
    assert [("q", "fail", "malformed")] == bench.observer.dead


async def test_the_error_kept_is_the_exceptions_own_line_also_when_it_has_notes() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)

    @bench.registry.task("noted", max_attempts=1)
    async def noted(payload: object) -> None:
        error = ValueError("the card was declined")
        error.add_note("order 17")
        raise error

    async with working(bench):
        broker.queues["q"].push(message("noted"))
        await until(lambda: broker.queues["q"].dead)

    (_, _, details) = broker.queues["q"].dead[0]
    assert ("ValueError: the card was declined", True) == (details["error"], "order 17" in str(details["traceback"]))


class Ending:
    """Handlers that are interrupted and go on until they may end."""

    def __init__(self, bench: Bench) -> None:
        self.started, self.interrupted, self.released = asyncio.Event(), asyncio.Event(), threading.Event()
        self._bench, self._loop = bench, asyncio.get_running_loop()
        for name in ("thread", "swallow", "cleanup", "ask"):
            bench.registry.task(name)(getattr(self, name))
            bench.registry.task(f"limited {name}", timeout_s=0.05)(getattr(self, name))

    def thread(self, payload: object) -> None:
        self._loop.call_soon_threadsafe(self.started.set)
        self.released.wait(10)

    async def swallow(self, payload: object) -> None:
        await self._interrupted()
        await self._bench.gate.wait()

    async def cleanup(self, payload: object) -> None:
        try:
            self.started.set()
            await asyncio.Event().wait()
        finally:
            self.interrupted.set()
            await self._bench.gate.wait()

    async def ask(self, payload: object) -> None:
        await self._interrupted()
        raise Retry(9.0)

    async def _interrupted(self) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.interrupted.set()

    def end(self) -> None:
        self._bench.gate.set()
        self.released.set()


@pytest.fixture
async def bench() -> Bench:
    return Bench(MemoryBroker(), consumers=1)


class TestInterrupted:
    @pytest.mark.parametrize("at_most_once", MODES)
    @pytest.mark.parametrize("name", ["thread", "swallow"])
    async def test_a_handler_that_finishes_although_its_release_was_asked_for_has_succeeded(
        self, name: str, at_most_once: bool
    ) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, at_most_once)
        ending = Ending(bench)
        broker.queues["q"].push(message(name))
        task = asyncio.ensure_future(bench.worker.run())
        await ending.started.wait()
        bench.worker.cancel()
        await until(lambda: ending.interrupted.is_set() or any(r.cancelled_as for r in bench.worker._runnings))
        ending.end()
        async with asyncio.timeout(5):
            await task

        assert [("q", name, "succeeded", "")] == bench.observer.ended
        assert (0, 0) == (len(broker.queues["q"].ready), bench.worker.handed_back)

    @pytest.mark.parametrize("name", ["thread", "swallow"])
    async def test_a_handler_that_finishes_after_its_time_limit_is_timed_out_and_frees_its_consumer(
        self, name: str, bench: Bench
    ) -> None:
        ending = Ending(bench)
        async with working(bench):
            bench.broker.queues["q"].push(message(f"limited {name}"), message("note", "after"))
            await until(lambda: bench.worker._runnings and bench.worker._runnings[0].cancelled_as is Kind.TIMED_OUT)
            ending.end()
            await until(lambda: bench.seen == ["after"])

        assert ("q", f"limited {name}", "timed_out", "TimeoutError") == bench.observer.ended[0]

    async def test_a_handler_that_answers_its_time_limit_with_a_wish_frees_its_consumer(self, bench: Bench) -> None:
        Ending(bench)
        async with working(bench):
            bench.broker.queues["q"].push(message("limited ask"), message("note", "after"))
            await until(lambda: bench.seen == ["after"])

        assert [9.0] == [delay_s for delay_s, _ in bench.broker.queues["q"].scheduled]

    @pytest.mark.parametrize("name", ["swallow", "thread", "limited thread", "limited swallow", "limited cleanup"])
    async def test_a_worker_that_is_cancelled_meanwhile_ends_with_its_handler(self, name: str, bench: Bench) -> None:
        ending = Ending(bench)
        bench.broker.queues["q"].push(message(name))
        task = asyncio.ensure_future(bench.worker.run())
        await ending.started.wait()
        if name.startswith("limited"):
            await until(lambda: bench.worker._runnings[0].cancelled_as is Kind.TIMED_OUT)
        task.cancel()
        await until(lambda: not any(other.get_name() == "ticker" for other in asyncio.all_tasks()))
        ending.end()
        async with asyncio.timeout(5):
            await asyncio.gather(task, return_exceptions=True)

        assert not any(store for store in bench.broker.queues["q"].inflight.values())


async def test_as_many_def_handlers_run_side_by_side_as_there_are_consumers_also_after_growing(bench: Bench) -> None:
    meeting = threading.Barrier(3, timeout=5)

    @bench.registry.task("meet", timeout_s=1.0)
    def meet(payload: object) -> None:
        meeting.wait()

    async with working(bench):
        await until(lambda: bench.broker.registrations)
        bench.worker.grow(2)
        bench.broker.queues["q"].push(*(message("meet", number) for number in range(3)))
        await until(lambda: len(bench.observer.ended) == 3)

    assert [("q", "meet", "succeeded", "")] * 3 == bench.observer.ended


async def test_no_more_threads_are_started_than_handlers_ran_side_by_side(bench: Bench) -> None:
    names: set[str] = set()

    @bench.registry.task("name")
    def name(payload: object) -> None:
        names.add(threading.current_thread().name)

    async with working(bench):
        for number in range(20):
            bench.broker.queues["q"].push(message("name", number))
        await until(lambda: len(bench.observer.ended) == 20)

    assert len(names) <= 2  # the second when the first has not yet said that it is idle
