"""At-most-once under a real supervisor: its workers register nothing, and are cared for all the same."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from asyncq.core.retry import RetryPolicy
from tests.support.fleet import Fleet, message
from tests.support.states import wait_until

Start = Callable[..., Fleet]


@pytest.fixture
def start(tmp_path: Path, redis_url: str) -> Iterator[Start]:
    """Start supervisors on the test's database; end them whatever happens."""
    fleets: list[Fleet] = []

    def begin(*flags: str) -> Fleet:
        fleets.append(Fleet(tmp_path, redis_url, "--delivery", "at-most-once", *flags))
        return fleets[-1]

    yield begin
    for fleet in fleets:
        fleet.end()


def test_a_retry_is_promoted_when_its_time_has_come(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "1").ready()
    raw_redis.rpush("task_queue", message("fail", 1))
    wait_until(lambda: raw_redis.zcard("asyncq:{task_queue}:task_queue:dead") == 1)

    assert [1, 1, 1] == [row["n"] for row in fleet.ran("fail")]
    one, two = (event["delay_s"] for event in fleet.events("task will be retried"))
    shortest_s = RetryPolicy().base_s / 2
    assert shortest_s <= one <= 2 * shortest_s <= two <= 4 * shortest_s
    assert 0 == fleet.stop()


def test_the_keeper_cares_for_the_queues_that_only_the_settings_name(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "1", "--queue", "a", "--queue", "b").ready()
    raw_redis.rpush("b", message("fail", 2))
    wait_until(lambda: raw_redis.zcard("asyncq:{b}:b:dead") == 1)

    assert [2, 2, 2] == [row["n"] for row in fleet.ran("fail")]
    assert 0 == fleet.stop()


def test_a_message_that_is_too_large_is_not_run(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "1", "--max-message-bytes", "10KiB").ready()
    raw_redis.rpush("task_queue", message("note", "x" * 20_000), message("note", 2))
    wait_until(lambda: raw_redis.zcard("asyncq:{task_queue}:task_queue:dead") == 1)
    (record,) = raw_redis.hvals("asyncq:{task_queue}:task_queue:dead:records")

    assert "oversized" == json.loads(record.split(b"\n", 1)[0])["reason"]
    wait_until(lambda: fleet.ran("note"))
    assert [2] == [row["n"] for row in fleet.ran("note")]
    assert 0 == fleet.stop()


def test_a_drain_in_the_middle_loses_and_doubles_nothing(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "1").ready()
    for begin in range(0, 5000, 500):
        raw_redis.rpush("task_queue", *(message("note", n) for n in range(begin, begin + 500)))
    wait_until(lambda: fleet.ran("note"))

    assert 0 == fleet.stop()
    left = [json.loads(raw)["payload"]["n"] for raw in raw_redis.lrange("task_queue", 0, -1)]
    assert left  # the drain did come in the middle
    assert list(range(5000)) == sorted([row["n"] for row in fleet.ran("note")] + left)
