"""Wrong use: a type checker must find an error on every line that ends with `# error: CODE`, and on no other.

Checked by test_typing.py, never run.
"""

from dataclasses import dataclass

import msgspec

from asyncq import Client, Registry, RetryPolicy, SyncClient, task


@dataclass
class Event:
    name: str


class Order(msgspec.Struct):
    name: str


@task("track", queue="analytics")
async def track(event: Event) -> int:
    return 1


@task("order")
def order(payload: Order) -> str:
    return payload.name


@task("colour", colour=1)  # error: call-arg
async def colour(payload: Event) -> None: ...


@task("attempts", max_attempts="3")  # error: arg-type
async def attempts(payload: Event) -> None: ...


@task("rules", retry_by_error={ValueError: 5})  # error: dict-item
async def rules(payload: Event) -> None: ...


@task("keys", retry_by_error={"ValueError": None})  # error: dict-item
async def keys(payload: Event) -> None: ...


@Registry().task("arguments")  # error: arg-type
async def arguments(first: Event, second: int, third: str) -> None: ...


RetryPolicy(max_attempts="3")  # error: arg-type


async def produce() -> None:
    await track.enqueue({"name": "a"})  # error: arg-type
    await track.enqueue("a")  # error: arg-type
    await track.enqueue(Order("a"))  # error: arg-type
    await order.enqueue(Event("a"))  # error: arg-type
    await track.enqueue()  # error: call-arg
    await track.enqueue_many([Event("a"), Order("b")])  # error: list-item
    await track.using(delay=60).enqueue(Event("a"))  # error: call-arg
    await track.using(delay_s="60").enqueue(Event("a"))  # error: arg-type
    await track.using(eta="2026-12-01T08:00:00Z").enqueue(Event("a"))  # error: arg-type
    await track.using(delay_s=60).enqueue(Order("a"))  # error: arg-type
    await track(Order("a"))  # error: arg-type
    await Client().enqueue(Event("a"))  # error: arg-type
    await Client().enqueue(track.envelope(Order("a")))  # error: arg-type
    SyncClient().enqueue(track.envelope(1))  # error: arg-type
    _: str = await track(Event("a"))  # error: assignment
