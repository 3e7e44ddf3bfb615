"""A message that was ours is kept for people, up to the cap and the age of dead letters."""

import json

import pytest
import redis

from tests.support.lua import INFLIGHT, KEYS, keyspace, redis_ms, run

NAMED = (INFLIGHT, KEYS.dead, KEYS.dead_records)
DAY_MS = 86_400_000


def bury(client: redis.Redis, token: int | str, unique: str, raw: bytes = b"r", cap: int = 1000) -> object:
    return run(client, "settle_dead", NAMED, token, unique, '{"reason":"exhausted"}', raw, cap, DAY_MS)


def test_record_holds_header_and_raw_bytes_when_it_was_ours(raw_redis: redis.Redis) -> None:
    raw_redis.hset(INFLIGHT, "7", "x")
    raw = b"not\njson \xff\x00"
    before_ms = redis_ms(raw_redis)
    assert bury(raw_redis, 7, "w:7", raw) == 1
    at_ms = int(raw_redis.zscore(KEYS.dead, "w:7"))
    assert before_ms <= at_ms <= redis_ms(raw_redis)
    header, _, kept = raw_redis.hget(KEYS.dead_records, "w:7").partition(b"\n")
    assert json.loads(header) == {"reason": "exhausted", "at_ms": at_ms}
    assert kept == raw
    assert set(keyspace(raw_redis)) == {KEYS.dead, KEYS.dead_records}


@pytest.mark.leaves_keys("in flight at nobody: only the script is judged")
def test_nothing_changes_when_the_message_is_not_ours_any_more(raw_redis: redis.Redis) -> None:
    raw_redis.hset(INFLIGHT, "8", "x")
    assert bury(raw_redis, 7, "w:7") == 0
    assert keyspace(raw_redis) == {INFLIGHT: {b"8": b"x"}}


def test_message_is_kept_when_nothing_fences_it(raw_redis: redis.Redis) -> None:
    assert bury(raw_redis, "", "u") == 1
    assert raw_redis.zrange(KEYS.dead, 0, -1) == [b"u"]


@pytest.mark.parametrize(("old", "left"), [(3, 1), (150, 51)])
def test_old_ones_are_forgotten_at_most_a_hundred_at_once_when_one_is_added(
    raw_redis: redis.Redis, old: int, left: int
) -> None:
    too_old = redis_ms(raw_redis) - DAY_MS - 1000
    raw_redis.zadd(KEYS.dead, {f"old{k}": too_old for k in range(old)})
    raw_redis.hset(KEYS.dead_records, mapping={f"old{k}": "{}\n" for k in range(old)})
    bury(raw_redis, "", "new")
    assert (raw_redis.zcard(KEYS.dead), raw_redis.hlen(KEYS.dead_records)) == (left, left)
    assert raw_redis.zscore(KEYS.dead, "new") is not None


def test_oldest_go_first_when_there_are_more_than_the_cap(raw_redis: redis.Redis) -> None:
    now = redis_ms(raw_redis)
    raw_redis.zadd(KEYS.dead, {f"d{k}": now - 1000 + k for k in range(5)})
    raw_redis.hset(KEYS.dead_records, mapping={f"d{k}": "{}\n" for k in range(5)})
    bury(raw_redis, "", "new", cap=3)
    assert raw_redis.zrange(KEYS.dead, 0, -1) == [b"d3", b"d4", b"new"]
    assert set(raw_redis.hkeys(KEYS.dead_records)) == {b"d3", b"d4", b"new"}


def test_excess_is_forgotten_at_most_a_hundred_at_once_when_one_is_added(raw_redis: redis.Redis) -> None:
    now = redis_ms(raw_redis)
    raw_redis.zadd(KEYS.dead, {f"d{k}": now - 1000 + k for k in range(150)})
    raw_redis.hset(KEYS.dead_records, mapping={f"d{k}": "{}\n" for k in range(150)})
    bury(raw_redis, "", "new", cap=10)
    assert raw_redis.zrange(KEYS.dead, 0, 0) == [b"d100"]
    assert (raw_redis.zcard(KEYS.dead), raw_redis.hlen(KEYS.dead_records)) == (51, 51)


@pytest.mark.leaves_keys("plants a key of another type")
@pytest.mark.parametrize("key", [KEYS.dead, KEYS.dead_records])
def test_message_stays_in_flight_when_a_key_has_another_type(raw_redis: redis.Redis, key: str) -> None:
    raw_redis.hset(INFLIGHT, "7", "x")
    raw_redis.set(key, "text")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        bury(raw_redis, 7, "w:7")
    assert keyspace(raw_redis) == {INFLIGHT: {b"7": b"x"}, key: b"text"}
