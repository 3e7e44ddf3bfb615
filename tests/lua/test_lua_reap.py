"""Everything that a dead incarnation held goes back in order, and it is fenced off for good."""

from typing import Any

import pytest
import redis

from tests.support.lua import INBOX, INFLIGHT, KEYS, LEASE, WID, enter, keyspace, redis_ms, run

NAMED = (
    *(KEYS.ready, INFLIGHT, INBOX, LEASE, KEYS.workers),
    *(KEYS.suspects, KEYS.accused, KEYS.crashes, KEYS.crash_counts, KEYS.killed, KEYS.dead, KEYS.dead_records),
)
HOUR_MS = 3_600_000


def reap(client: redis.Redis, forced: int) -> Any:
    """An end that accuses nobody; how others are judged stands in test_lua_reap_blame.py."""
    return run(client, "reap", NAMED, WID, forced, HOUR_MS, 0, 2, 4, HOUR_MS, 10_000, HOUR_MS, 100, HOUR_MS, 0)


def hold(client: redis.Redis) -> None:
    """In flight 2, 9, 10 (textual order differs), one more in the inbox, one ready."""
    client.hset(INFLIGHT, mapping={"10": "c", "9": "b", "2": "a"})
    client.rpush(INBOX, "d")
    client.rpush("q", "e")


def test_everything_returns_in_order_and_a_tombstone_stays_when_the_lease_is_missing(raw_redis: redis.Redis) -> None:
    enter(raw_redis, leased=False)
    hold(raw_redis)
    now = redis_ms(raw_redis)
    assert reap(raw_redis, 0) == [4, 0]
    after = keyspace(raw_redis)
    assert now + HOUR_MS <= after.pop(KEYS.workers)[WID.encode()] <= redis_ms(raw_redis) + HOUR_MS
    assert after == {"q": [b"a", b"b", b"c", b"d", b"e"]}


def test_nothing_changes_when_the_lease_exists_and_it_is_not_forced(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    hold(raw_redis)
    before = keyspace(raw_redis)
    assert reap(raw_redis, 0) == [-2]
    assert keyspace(raw_redis) == before


def test_lease_goes_too_when_forced(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    hold(raw_redis)
    assert reap(raw_redis, 1) == [4, 0]
    assert set(keyspace(raw_redis)) == {"q", KEYS.workers}


@pytest.mark.leaves_keys("plants what nobody holds")
def test_nothing_happens_when_the_incarnation_is_unknown(raw_redis: redis.Redis) -> None:
    hold(raw_redis)
    before = keyspace(raw_redis)
    assert reap(raw_redis, 1) == [-1]
    assert keyspace(raw_redis) == before


def test_what_landed_afterwards_returns_when_a_tombstone_is_reaped_again(raw_redis: redis.Redis) -> None:
    until_ms = redis_ms(raw_redis) + 1000_000
    enter(raw_redis, score=until_ms, leased=False)
    raw_redis.rpush(INBOX, "ghost")
    assert reap(raw_redis, 0) == [1, 0]
    assert keyspace(raw_redis) == {"q": [b"ghost"], KEYS.workers: {WID.encode(): float(until_ms)}}
    assert reap(raw_redis, 0) == [0, 0]
    assert raw_redis.zscore(KEYS.workers, WID) == until_ms


@pytest.mark.parametrize("left", [True, False])
def test_tombstone_is_forgotten_when_its_time_passed_and_nothing_was_left(raw_redis: redis.Redis, left: bool) -> None:
    enter(raw_redis, score=redis_ms(raw_redis) - 1, leased=False)
    if left:
        raw_redis.rpush(INBOX, "ghost")
        assert reap(raw_redis, 0) == [1, 0]
        assert raw_redis.zcard(KEYS.workers) == 1
    assert reap(raw_redis, 0) == [0, 0]
    assert raw_redis.exists(KEYS.workers) == 0


def test_thousands_keep_their_order_when_reaped(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.hset(INFLIGHT, mapping={str(k): f"m{k}" for k in range(1, 2501)})
    assert reap(raw_redis, 1) == [2500, 0]
    assert raw_redis.lrange("q", 0, -1) == [b"m%d" % k for k in range(1, 2501)]


@pytest.mark.leaves_keys("plants a key of another type")
@pytest.mark.parametrize(
    "key",
    [
        KEYS.ready,
        INFLIGHT,
        INBOX,
        KEYS.workers,
        KEYS.suspects,
        KEYS.accused,
        KEYS.crashes,
        KEYS.crash_counts,
        KEYS.dead,
        KEYS.dead_records,
    ],
)
def test_nothing_leaves_its_place_when_a_key_has_another_type(raw_redis: redis.Redis, key: str) -> None:
    enter(raw_redis)
    hold(raw_redis)
    raw_redis.delete(key)
    raw_redis.set(key, "text")
    before = keyspace(raw_redis)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        reap(raw_redis, 1)
    assert keyspace(raw_redis) == before


@pytest.mark.leaves_keys("plants a key of another type")
def test_it_is_fenced_off_when_it_held_nothing_and_the_queue_has_another_type(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.set("q", "text")
    assert reap(raw_redis, 1) == [0, 0]
    assert set(keyspace(raw_redis)) == {"q", KEYS.workers}
