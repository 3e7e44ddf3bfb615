"""The typed API under a real supervisor: its own registry, several queues, handlers that enqueue, wrong payloads."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.fleet import TASKS, Fleet, message
from tests.support.states import wait_until

SHOP = (
    TASKS
    + """
from dataclasses import dataclass
from datetime import datetime
from asyncq import Attempt, Client, Registry

shop = Registry()

@dataclass
class Line:
    sku: str
    count: int = 1

@dataclass
class Order:
    n: int
    at: datetime
    lines: list[Line]

@shop.task("order", queue="orders")
async def order(payload: Order):
    record(name="order", n=payload.n, year=payload.at.year)
    await Client().enqueue_many([pick.envelope(line) for line in payload.lines])
    await bill.using(delay_s=0.5).enqueue(payload)

@shop.task("pick", queue="picks")
def pick(line: Line, attempt: Attempt):
    record(name="pick", sku=line.sku, count=line.count, queue=attempt.queue)

@shop.task("bill", queue="bills", max_attempts=2)
async def bill(payload: Order, attempt: Attempt):
    record(name="bill", n=payload.n, attempt=attempt.number, skus=[line.sku for line in payload.lines])
    if attempt.number == 1:
        raise RuntimeError("again")
"""
)


@pytest.fixture
def fleet(tmp_path: Path, redis_url: str) -> Iterator[Fleet]:
    made = Fleet(tmp_path, redis_url, "--app", "tasks:shop", "--procs", "1", tasks=SHOP)
    yield made.ready()
    made.end()


def test_a_registry_of_ones_own_is_run_with_all_its_queues(fleet: Fleet, raw_redis: redis.Redis) -> None:
    assert ["orders", "picks", "bills"] == fleet.events("ready")[0]["queues"]
    lines = [{"sku": "a", "count": 2}, {"sku": "b"}]
    raw_redis.rpush("orders", message("order", 1, at="2025-03-03T08:15:00Z", lines=lines))
    raw_redis.rpush("orders", message("order", 2, at="2025-03-03T08:15:00Z", lines=[{"sku": 7}]))
    raw_redis.rpush("orders", message("note", 3))  # registered, but not in this registry
    wait_until(lambda: len(fleet.ran("bill")) == 2)

    assert [(1, 2025)] == [(row["n"], row["year"]) for row in fleet.ran("order")]
    assert [("a", 2, "picks"), ("b", 1, "picks")] == sorted(
        (row["sku"], row["count"], row["queue"]) for row in fleet.ran("pick")
    )
    (ordered,), (first, second) = fleet.ran("order"), fleet.ran("bill")
    assert ((1, ["a", "b"]), (2, ["a", "b"])) == tuple((row["attempt"], row["skus"]) for row in (first, second))
    assert 0.5 <= first["at"] - ordered["at"] < 1.5
    assert [] == fleet.ran("note")
    (record,) = raw_redis.hvals("asyncq:{orders}:orders:dead:records")
    header = json.loads(record.partition(b"\n")[0])
    assert "rejected" == header["reason"]
    assert header["error"].endswith("the payload does not fit Order: Expected `str`, got `int` - at `$.lines[0].sku`")
    assert 0 == fleet.stop()


def test_wrong_payloads_are_counted_by_reason(fleet: Fleet, raw_redis: redis.Redis) -> None:
    for number in range(3):
        raw_redis.rpush("picks", message("pick", number))
    wait_until(lambda: raw_redis.zcard("asyncq:{picks}:picks:dead") == 3)

    deadline = time.monotonic() + 5
    wanted = 'asyncq_tasks_dead_lettered_total{queue="picks",reason="rejected",task="pick"} 3.0'
    wait_until(lambda: wanted in fleet.get("/metrics")[1], deadline - time.monotonic(), wanted)
    assert 'asyncq_tasks_in_progress{queue="picks"} 0.0' in fleet.get("/metrics")[1]
    assert 0 == fleet.stop()
