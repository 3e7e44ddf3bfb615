"""The public API as its users write it: a strict type checker passes every line. Checked by test_typing.py, not run."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict, assert_type

import msgspec
from pydantic import BaseModel

from asyncq import (
    TASK_REGISTRY,
    Attempt,
    Client,
    Envelope,
    Handle,
    Registry,
    Retry,
    RetryPolicy,
    SyncClient,
    Task,
    create_task,
    enqueue_many,
    enqueue_task,
    execute_with_retry,
    start_workers,
    task,
)
from asyncq.core.retry import RetryByError


@dataclass
class Event:
    name: str


class Row(TypedDict):
    name: str


class Order(msgspec.Struct):
    name: str


class User(BaseModel):
    name: str


@task("track", queue="analytics", max_attempts=5, timeout_s=10, retry=RetryPolicy(base_s=2))
async def track(event: Event) -> int:
    return len(event.name)


def is_busy(error: BaseException) -> bool:
    return "busy" in str(error)


@task(
    "ship",
    retry_by_error={
        KeyError: None,
        ConnectionError: RetryPolicy(base_s=30, max_attempts=10),
        is_busy: RetryPolicy(cap_s=5),
        lambda error: isinstance(error, OSError) and error.errno == 28: None,
    },
)
async def ship(event: Event) -> None: ...


BANK: RetryByError = {PermissionError: None, ConnectionError: RetryPolicy(base_s=30)}


@task("pay", retry_by_error=BANK)
async def pay(event: Event) -> None: ...


@task("row")
async def row(payload: Row) -> None:
    raise Retry(delay_s=5)


@task("order")
def order(payload: Order) -> str:
    return payload.name


@task("user")
async def user(payload: User, attempt: Attempt) -> bool:
    return attempt.number == 1


@task("plain")
async def plain(payload: dict[str, Any]) -> None: ...


shop = Registry()


@shop.task("sell")
def sell(payload: Order, attempt: Attempt) -> float:
    return 1.0


assert_type(track, Task[Event, int])
assert_type(ship, Task[Event, None])
assert_type(row, Task[Row, None])
assert_type(order, Task[Order, str])
assert_type(user, Task[User, bool])
assert_type(plain, Task[dict[str, Any], None])
assert_type(sell, Task[Order, float])


async def produce() -> None:
    assert_type(await track.enqueue(Event("a")), Handle)
    assert_type(await track.using(delay_s=60, queue="bulk").enqueue(Event("a")), Handle)
    assert_type(await track.using(headers={"traceparent": "00"}).enqueue_many([Event("a"), Event("b")]), list[Handle])
    assert_type(await track.using(eta=datetime.now(UTC)).enqueue(Event("a")), Handle)
    assert_type(await row.enqueue({"name": "a"}), Handle)
    assert_type(await order.enqueue(Order("a")), Handle)
    assert_type(await user.enqueue(User(name="a")), Handle)
    assert_type(await track(Event("a")), int)
    assert_type(await order(Order("a")), str)
    assert_type(track.using(retry_safe=True, message_id="7"), Task[Event, int])
    async with Client("redis://localhost") as client:
        assert_type(await client.enqueue(track.envelope(Event("a"))), Handle)
        await client.enqueue_many([track.envelope(Event("a")), order.envelope(Order("b"))])
        await client.enqueue(Envelope("task_queue", create_task("plain", {"any": "thing"})))


def produce_from_a_thread() -> None:
    with SyncClient() as client:
        assert_type(client.enqueue(user.envelope(User(name="a"))), Handle)
        assert_type(client.enqueue_many(track.envelope(Event(name)) for name in "ab"), list[Handle])


async def article(payload: Mapping[str, Any]) -> None:
    await enqueue_task("task_queue", create_task("plain", payload))
    await enqueue_many("task_queue", [create_task("plain", payload)])
    await execute_with_retry(TASK_REGISTRY["plain"], payload, retries=2)
    await start_workers("task_queue", concurrency=10, registry=shop)
