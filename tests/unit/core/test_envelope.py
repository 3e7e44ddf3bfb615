"""Asking for work: `Task.envelope`, `using`, and who carries out `enqueue`."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

import asyncq
from asyncq.core import outbox
from asyncq.core.codec import decode, encode
from asyncq.core.envelope import Envelope, Handle, Using, UsingOptions
from asyncq.core.errors import ConfigurationError
from asyncq.core.options import TaskOptions, TaskOptionsIn
from asyncq.core.registry import Registry
from asyncq.core.task import Task


@dataclass
class Event:
    n: int


async def handler(event: Event) -> None: ...


@pytest.fixture
def task() -> Task[Event, None]:
    return Registry().task("track", queue="analytics", max_attempts=7)(handler)


def test_an_envelope_holds_a_new_message_for_the_tasks_queue(task: Task[Event, None]) -> None:
    before = time.time()
    envelope = task.envelope(Event(1))

    assert ("analytics", 0.0, False) == (envelope.queue, envelope.delay_s, envelope.retry_safe)
    assert ["id", "name", "payload", "timestamp"] == list(envelope.message)
    assert ("track", Event(1)) == (envelope.message["name"], envelope.message["payload"])
    assert before <= envelope.message["timestamp"] <= time.time()
    assert Handle(envelope.message["id"], "analytics") == envelope.handle
    assert envelope.message["id"] != task.envelope(Event(1)).message["id"]


def test_without_a_queue_it_is_task_queue() -> None:
    assert "task_queue" == Registry().task("track")(handler).envelope(Event(1)).queue


def test_everything_that_using_says_is_in_the_envelope(task: Task[Event, None]) -> None:
    other = task.using(
        queue="bulk", delay_s=60, max_attempts=2, timeout_s=0, expires_in_s=30, headers={"a": "b"}, message_id="7",
        retry_safe=True,
    )  # fmt: skip
    envelope = other.envelope(Event(1))
    message = decode(encode(envelope.message))

    assert ("bulk", 60, True) == (envelope.queue, envelope.delay_s, envelope.retry_safe)
    assert ("7", "track", {"n": 1}) == (message.id, message.name, message.payload)
    assert (2, 0, {"a": "b"}) == (message.max_attempts, message.timeout_s, message.fields["headers"])
    assert message.timestamp + 30 == message.expires_at
    assert "bulk" == other.queue


def test_using_adds_up_and_leaves_the_registered_task_alone(task: Task[Event, None]) -> None:
    other = task.using(delay_s=5).using(queue="bulk").using(delay_s=7)

    assert ("bulk", 7) == (other.envelope(Event(1)).queue, other.envelope(Event(1)).delay_s)
    assert ("analytics", 0.0) == (task.queue, task.envelope(Event(1)).delay_s)
    assert other.handler is task.handler


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"delay": 5}, "task 'track': unknown option 'delay'; the options are queue, delay_s, eta, max_attempts"),
        ({"queue": "a b"}, "queue name 'a b': expected 1 to 128"),
        ({"delay_s": -1}, "enqueue option delay_s: expected seconds from 0 to ten years, found -1"),
        ({"delay_s": "5"}, "delay_s: expected seconds from 0 to ten years, found '5'"),
        ({"delay_s": float("inf")}, "delay_s: expected seconds from 0 to ten years, found inf"),
        ({"delay_s": 10**9}, "delay_s: expected seconds from 0 to ten years, found 1000000000"),
        ({"max_attempts": 0}, "max_attempts: expected a whole number from 1, found 0"),
        ({"max_attempts": True}, "max_attempts: expected a whole number from 1, found True"),
        ({"timeout_s": -1}, "timeout_s: expected 0 or more seconds, found -1"),
        ({"expires_in_s": "soon"}, "expires_in_s: expected 0 or more seconds, found 'soon'"),
        ({"headers": "a"}, "headers: expected a mapping, found 'a'"),
        ({"message_id": ""}, "message_id: expected a text of 1 to 256 characters, found ''"),
        ({"message_id": 7}, "message_id: expected a text of 1 to 256 characters, found 7"),
        ({"message_id": "x" * 257}, "message_id: expected a text of 1 to 256 characters, found 'xxx"),
        ({"retry_safe": 1}, "retry_safe: expected True or False, found 1"),
    ],
)
def test_a_wrong_option_is_refused_at_once(task: Task[Event, None], options: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        task.using(**options)


@pytest.mark.parametrize(
    ("eta", "sentence"),
    [
        (datetime(2026, 12, 1, 8), r"eta: expected a datetime with a time zone, such as .*, found datetime.datetime"),
        ("2026-12-01T08:00:00Z", "eta: expected a datetime with a time zone, .*, found '2026-12-01T08:00:00Z'"),
        (1_800_000_000.0, "eta: expected a datetime with a time zone, .*, found 1800000000.0"),
        (date(2026, 12, 1), "eta: expected a datetime with a time zone, .*, found datetime.date"),
        (datetime.now(UTC) + timedelta(days=3661), "eta: expected a time at most ten years ahead, found datetime"),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=23))), "eta: expected a time at most ten years ahead"),
    ],
)
def test_a_wrong_time_is_refused_at_once(task: Task[Event, None], eta: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=f"enqueue option {sentence}"):
        task.using(eta=eta)
    with pytest.raises(ConfigurationError, match=f"enqueue option {sentence}"):
        Envelope("q", asyncq.create_task("x", 1), eta=eta)


def test_a_time_and_a_delay_are_refused_together(task: Task[Event, None]) -> None:
    soon, sentence = datetime.now(UTC), "enqueue option eta: expected eta or delay_s, not both"

    with pytest.raises(ConfigurationError, match=sentence):
        task.using(eta=soon, delay_s=5)
    with pytest.raises(ConfigurationError, match=sentence):
        task.using(delay_s=5).using(eta=soon)
    with pytest.raises(ConfigurationError, match=sentence):
        Envelope("q", asyncq.create_task("x", 1), delay_s=5, eta=soon)
    assert soon == task.using(delay_s=5).using(eta=soon, delay_s=0).envelope(Event(1)).eta


@pytest.mark.parametrize(
    "eta",
    [
        datetime.now(UTC) + timedelta(days=3659),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    ],
)
def test_every_time_with_a_zone_is_carried_along(task: Task[Event, None], eta: datetime) -> None:
    envelope = task.using(eta=eta, retry_safe=True).envelope(Event(1))

    assert (eta, 0.0, True, True) == (envelope.eta, envelope.delay_s, envelope.retry_safe, envelope.waits)
    assert ["id", "name", "payload", "timestamp"] == list(envelope.message)


def test_an_envelope_by_hand_refuses_a_wrong_delay() -> None:
    with pytest.raises(ConfigurationError, match="delay_s: expected seconds from 0 to ten years, found None"):
        Envelope("q", asyncq.create_task("x", 1), delay_s=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("told", "checked"), [(UsingOptions, Using), (TaskOptionsIn, TaskOptions)])
def test_type_checkers_are_told_of_every_option(told: Any, checked: Any) -> None:
    assert [each.name for each in fields(checked)] == list(told.__annotations__)


class Recording:
    """An Enqueuer that sends nothing."""

    def __init__(self) -> None:
        self.sent: list[Envelope] = []

    async def enqueue(self, envelope: Envelope) -> Handle:
        self.sent.append(envelope)
        return envelope.handle

    async def enqueue_many(self, envelopes: Iterable[Envelope]) -> list[Handle]:
        return [await self.enqueue(envelope) for envelope in envelopes]


@pytest.fixture
def recording() -> Iterator[Recording]:
    found, before = Recording(), outbox._find
    outbox.provide(lambda: found)
    yield found
    outbox.provide(before)


async def test_enqueue_hands_envelopes_to_whoever_is_provided(task: Task[Event, None], recording: Recording) -> None:
    one = await task.enqueue(Event(1))
    many = await task.using(queue="bulk").enqueue_many(Event(n) for n in (2, 3))

    assert [1, 2, 3] == [envelope.message["payload"].n for envelope in recording.sent]
    assert ["analytics", "bulk", "bulk"] == [handle.queue for handle in [one, *many]]


async def test_enqueue_says_so_when_nobody_is_provided(task: Task[Event, None], recording: Recording) -> None:
    outbox.provide(outbox._nobody)

    with pytest.raises(ConfigurationError, match=r"Task.enqueue: expected a client, found none"):
        await task.enqueue(Event(1))


def test_the_front_door_provides_the_default_client() -> None:
    from asyncq.client.client import default_client

    assert default_client is outbox.enqueuer()
