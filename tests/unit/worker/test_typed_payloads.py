"""A handler gets what its annotation says, and a payload that does not fit is a dead letter at its first attempt."""

import threading
from dataclasses import dataclass

import pytest

from asyncq.core.task import Attempt
from tests.support.memory_broker import MemoryBroker
from tests.support.states import until
from tests.unit.worker.bench import MODES, Bench, message, working


@dataclass
class Event:
    n: int

    def __post_init__(self) -> None:
        if self.n == 13:
            raise KeyError("a bug in the model")


@pytest.mark.parametrize("at_most_once", MODES)
async def test_every_kind_of_handler_gets_the_object(at_most_once: bool) -> None:
    broker = MemoryBroker()
    bench = Bench(broker, at_most_once)
    seen: list[object] = []

    @bench.registry.task("async")
    async def handle(event: Event) -> None:
        seen.append((event, threading.current_thread() is threading.main_thread()))

    @bench.registry.task("def")
    def handle_in_a_thread(event: Event) -> None:
        seen.append((event, threading.current_thread() is threading.main_thread()))

    @bench.registry.task("attempt")
    async def handle_with_attempt(event: Event, attempt: Attempt) -> None:
        seen.append((event, attempt.number))

    async with working(bench):
        broker.queues["q"].push(message("async", {"n": 1}), message("def", {"n": 2}), message("attempt", {"n": 3}))
        await until(lambda: len(seen) == 3)

    assert {str(what) for what in seen} == {str(what) for what in [(Event(1), True), (Event(2), False), (Event(3), 1)]}


@pytest.mark.parametrize("at_most_once", MODES)
async def test_what_does_not_fit_is_given_up_at_once_with_the_reason(at_most_once: bool) -> None:
    broker = MemoryBroker()
    bench = Bench(broker, at_most_once, consumers=1)
    ran: list[object] = []

    @bench.registry.task("event")
    async def event(payload: Event) -> None:
        ran.append(payload)

    wrong = message("event", {"n": "1"})
    async with working(bench):
        broker.queues["q"].push(wrong, message("note", "after"))
        await until(lambda: bench.seen == ["after"] and broker.queues["q"].dead)

    ((reason, raw, details),) = broker.queues["q"].dead
    assert ("rejected", wrong, []) == (reason, raw, ran)
    assert "PayloadError" == details["error_type"]
    assert str(details["error"]).endswith("the payload does not fit Event: Expected `int`, got `str` - at `$.n`")
    assert [("q", "event", "rejected")] == bench.observer.dead
    assert ([("q", "note", "succeeded", "")], 0) == (bench.observer.ended, bench.observer.running)


async def test_a_mistake_in_the_model_is_a_failure_like_one_in_the_handler() -> None:
    broker = MemoryBroker()
    bench = Bench(broker, consumers=1)

    @bench.registry.task("event")
    async def event(payload: Event) -> None: ...

    async with working(bench):
        broker.queues["q"].push(message("event", {"n": 13}), message("note", "after"))
        await until(lambda: bench.seen == ["after"] and broker.queues["q"].scheduled)

    assert ("q", "event", "retried", "KeyError") == bench.observer.ended[0]
    assert 0 == bench.observer.running
