"""What is due moves to the tail of the queue; the rest, and what cannot be written, stays."""

from typing import Any

import pytest
import redis

from tests.support.lua import KEYS, keyspace, redis_ms, run

NAMED = (KEYS.scheduled, KEYS.payloads, KEYS.ready)


def schedule(client: redis.Redis, unique: str, due_ms: int) -> None:
    client.zadd(KEYS.scheduled, {unique: due_ms})
    client.hset(KEYS.payloads, unique, f"raw-{unique}")


def promote(client: redis.Redis, limit: int = 200) -> Any:
    return run(client, "promote", NAMED, limit)


def test_nothing_waits_when_scheduled_is_empty(raw_redis: redis.Redis) -> None:
    assert promote(raw_redis) == [0, -1]
    assert keyspace(raw_redis) == {}


def test_due_ones_move_to_the_tail_earliest_first_when_promoted(raw_redis: redis.Redis) -> None:
    now = redis_ms(raw_redis)
    schedule(raw_redis, "late", now - 10)
    schedule(raw_redis, "early", now - 20)
    schedule(raw_redis, "future", now + 60_000)
    raw_redis.rpush("q", "first")
    moved, next_ms = promote(raw_redis)
    assert moved == 2
    assert 58_000 < next_ms <= 60_000
    assert keyspace(raw_redis) == {
        "q": [b"first", b"raw-early", b"raw-late"],
        KEYS.scheduled: {b"future": float(now + 60_000)},
        KEYS.payloads: {b"future": b"raw-future"},
    }


def test_the_rest_is_due_now_when_there_are_more_than_the_limit(raw_redis: redis.Redis) -> None:
    now = redis_ms(raw_redis)
    for k in range(3):
        schedule(raw_redis, str(k), now - 100 + k)
    assert promote(raw_redis, 2) == [2, 0]
    assert promote(raw_redis, 2) == [1, -1]
    assert keyspace(raw_redis) == {"q": [b"raw-0", b"raw-1", b"raw-2"]}


def test_an_id_without_payload_is_dropped_when_due(raw_redis: redis.Redis) -> None:
    raw_redis.zadd(KEYS.scheduled, {"lonely": 1})
    assert promote(raw_redis) == [0, -1]
    assert keyspace(raw_redis) == {}


@pytest.mark.leaves_keys("plants a key of another type")
@pytest.mark.parametrize("key", [KEYS.payloads, KEYS.ready])
def test_nothing_leaves_its_place_when_a_key_has_another_type(raw_redis: redis.Redis, key: str) -> None:
    schedule(raw_redis, "a", redis_ms(raw_redis) - 10)
    raw_redis.delete(key)
    raw_redis.set(key, "text")
    before = keyspace(raw_redis)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        promote(raw_redis)
    assert keyspace(raw_redis) == before


def test_due_ones_move_when_redis_is_at_maxmemory(raw_redis: redis.Redis) -> None:
    schedule(raw_redis, "a", redis_ms(raw_redis) - 10)
    raw_redis.config_set("maxmemory", 1)
    try:
        assert promote(raw_redis) == [1, -1]
    finally:
        raw_redis.config_set("maxmemory", 0)
    assert keyspace(raw_redis) == {"q": [b"raw-a"]}
