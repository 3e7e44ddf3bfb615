"""A running worker with tasks that say what holds for which error."""

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import Iterator

import pytest

from asyncq.core.retry import RetryPolicy
from tests.support.memory_broker import MemoryBroker
from tests.support.states import until
from tests.unit.worker.bench import MODES, Bench, message, working

SLOW = RetryPolicy(base_s=100, cap_s=100)


class RateLimitedError(Exception):
    pass


@pytest.mark.parametrize("at_most_once", MODES)
@pytest.mark.parametrize("is_async", [True, False], ids=["async def", "def"])
async def test_each_error_has_its_own_way(at_most_once: bool, is_async: bool) -> None:
    broker = MemoryBroker()
    bench = Bench(broker, at_most_once)
    errors = {"limited": RateLimitedError("429"), "gone": LookupError("410"), "other": ValueError("?")}

    def call(payload: str) -> None:
        raise errors[payload]

    async def call_async(payload: str) -> None:
        call(payload)

    by_error = {RateLimitedError: SLOW, LookupError: None}
    bench.registry.task("call", retry_by_error=by_error)(call_async if is_async else call)
    async with working(bench):
        broker.queues["q"].push(*(message("call", payload) for payload in errors))
        await until(lambda: len(bench.observer.ended) == 3)
        await until(lambda: len(broker.queues["q"].scheduled) == 2 and broker.queues["q"].dead)

    short_s, long_s = sorted(delay_s for delay_s, _ in broker.queues["q"].scheduled)
    assert 0.5 <= short_s <= 1
    assert 50 <= long_s <= 100
    ((reason, _, details),) = broker.queues["q"].dead
    assert ("discarded", "LookupError", "LookupError: 410") == (reason, details["error_type"], details["error"])
    assert "raise errors[payload]" in str(details["traceback"])
    ended = {(outcome, error_type) for _, _, outcome, error_type in bench.observer.ended}
    assert {("retried", "RateLimitedError"), ("failed", "LookupError"), ("retried", "ValueError")} == ended
    assert [("q", "call", "discarded")] == bench.observer.dead


async def test_a_time_out_is_matched_as_timeout_error_whatever_the_handler_made_of_it() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)
    seen: list[str] = []

    def is_time_out(error: BaseException) -> bool:
        seen.append(f"{type(error).__name__}: {error}")
        return isinstance(error, TimeoutError)

    for name in ("hangs", "swallows", "raises"):
        bench.registry.task(name, timeout_s=0.02, retry_by_error={is_time_out: None})(Late(name))
    async with working(bench):
        broker.queues["q"].push(message("hangs"), message("swallows"), message("raises"))
        await until(lambda: len(broker.queues["q"].dead) == 3)

    assert ["TimeoutError: did not finish within 0.02 s"] * 3 == seen
    assert {"discarded"} == {reason for reason, _, _ in broker.queues["q"].dead}
    assert {"timed_out"} == {outcome for _, _, outcome, _ in bench.observer.ended}


class Late:
    """A handler that does not end in time, and then ends in its own way."""

    def __init__(self, how: str) -> None:
        self._how = how

    async def __call__(self, payload: object) -> None:
        with contextlib.suppress(*[asyncio.CancelledError] if self._how != "hangs" else []):
            await asyncio.Event().wait()
        if self._how == "raises":
            raise ValueError("while cleaning up")


async def test_a_predicate_that_fails_is_logged_and_ends_nobody(caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker()
    bench = Bench(broker, consumers=1)

    def broken(error: BaseException) -> bool:
        raise SystemExit("not in here")

    @bench.registry.task("fail", retry_by_error={broken: None})
    async def fail(payload: object) -> None:
        raise ValueError("no")

    with caplog.at_level(logging.ERROR):
        async with working(bench):
            broker.queues["q"].push(message("fail"), message("note", "after"))
            await until(lambda: bench.seen == ["after"])

    assert 1 == len(broker.queues["q"].scheduled)
    assert ["retry_by_error: a predicate failed, no match"] == [record.message for record in caplog.records]


async def test_a_failing_validator_of_a_model_is_matched_too() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)

    def read(payload: object) -> object:
        raise LookupError("the validator asked somebody who is away")

    @bench.registry.task("read", retry_by_error={LookupError: SLOW})
    async def handler(payload: object) -> None: ...

    bench.registry["read"].check = lambda: None  # type: ignore[method-assign] # the worker looks at it when it begins
    bench.registry["read"].read = read
    async with working(bench):
        broker.queues["q"].push(message("read"))
        await until(lambda: broker.queues["q"].scheduled)

    ((delay_s, _),) = broker.queues["q"].scheduled
    assert 50 <= delay_s <= 100


@pytest.fixture
def without_gc() -> Iterator[None]:
    """So that only what nobody refers to is gone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_nobody_keeps_the_exception_when_the_message_is_settled(without_gc: None) -> None:
    broker = MemoryBroker()
    bench = Bench(broker, consumers=1)
    raised: list[weakref.ref[BaseException]] = []

    @bench.registry.task("fail", retry_by_error={RateLimitedError: SLOW})
    async def fail(payload: object) -> None:
        error = RateLimitedError("with everything that its frames hold")
        raised.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error  # or the frame and the exception hold each other, which is the handler's own doing

    async with working(bench):
        broker.queues["q"].push(message("fail"))
        await until(lambda: broker.queues["q"].scheduled)
        await until(lambda: raised[0]() is None)

    ((delay_s, _),) = broker.queues["q"].scheduled
    assert 50 <= delay_s <= 100
