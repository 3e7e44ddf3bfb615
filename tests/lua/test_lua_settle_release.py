"""A message that was ours goes back to the head of its queue."""

import pytest
import redis

from tests.support.lua import INFLIGHT, KEYS, enter, keyspace, run

NAMED = (INFLIGHT, KEYS.ready)


@pytest.mark.leaves_keys("in flight at nobody: only the script is judged")
def test_message_returns_to_the_head_when_it_was_ours(raw_redis: redis.Redis) -> None:
    raw_redis.hset(INFLIGHT, mapping={"7": "a", "8": "b"})
    raw_redis.rpush("q", "c")
    assert run(raw_redis, "settle_release", NAMED, 7, "a") == 1
    assert keyspace(raw_redis) == {INFLIGHT: {b"8": b"b"}, "q": [b"a", b"c"]}


def test_nothing_changes_when_the_message_is_not_ours_any_more(raw_redis: redis.Redis) -> None:
    raw_redis.rpush("q", "c")
    assert run(raw_redis, "settle_release", NAMED, 7, "a") == 0
    assert keyspace(raw_redis) == {"q": [b"c"]}


def test_message_returns_when_nothing_fences_it(raw_redis: redis.Redis) -> None:
    assert run(raw_redis, "settle_release", NAMED, "", "a") == 1
    assert keyspace(raw_redis) == {"q": [b"a"]}


@pytest.mark.leaves_keys("plants a key of another type")
def test_message_stays_in_flight_when_the_queue_has_another_type(raw_redis: redis.Redis) -> None:
    raw_redis.hset(INFLIGHT, "7", "a")
    raw_redis.set("q", "text")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        run(raw_redis, "settle_release", NAMED, 7, "a")
    assert keyspace(raw_redis) == {INFLIGHT: {b"7": b"a"}, "q": b"text"}


@pytest.mark.leaves_keys("in flight at nobody: only the script is judged")
def test_message_returns_to_the_suspects_when_they_are_named_as_its_home(raw_redis: redis.Redis) -> None:
    raw_redis.hset(INFLIGHT, mapping={"-7": "s", "8": "b"})
    raw_redis.rpush(KEYS.suspects, "t")
    assert run(raw_redis, "settle_release", (INFLIGHT, KEYS.suspects), -7, "s") == 1
    assert keyspace(raw_redis) == {INFLIGHT: {b"8": b"b"}, KEYS.suspects: [b"s", b"t"]}


def test_message_returns_when_redis_is_at_maxmemory(raw_redis: redis.Redis) -> None:
    raw_redis.hset(INFLIGHT, "5", "a")
    enter(raw_redis)
    raw_redis.config_set("maxmemory", 1)
    try:
        assert run(raw_redis, "settle_release", (INFLIGHT, "q"), 5, "a") == 1
        assert raw_redis.lrange("q", 0, -1) == [b"a"]
    finally:
        raw_redis.config_set("maxmemory", 0)
