"""At-most-once under a real supervisor: its workers register nothing, and are cared for all the same."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

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
    assert 0.5 <= one <= 1.0
    assert 1.0 <= two <= 2.0
    assert 0 == fleet.stop()


def test_the_keeper_cares_for_the_queues_that_only_the_settings_name(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "1", "--queue", "a", "--queue", "b").ready()
    raw_redis.rpush("b", message("fail", 2))
    wait_until(lambda: raw_redis.zcard("asyncq:{b}:b:dead") == 1)

    assert [2, 2, 2] == [row["n"] for row in fleet.ran("fail")]
    assert 0 == fleet.stop()
