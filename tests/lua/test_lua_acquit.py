"""A message that ran alone and lived: what was held against it goes; that it had died alone before is counted."""

import redis

from tests.support.lua import KEYS, keyspace, run

NAMED = (KEYS.crashes, KEYS.crash_counts, KEYS.acquitted)
KEPT_MS = 3_600_000


def accuse(client: redis.Redis, record: str) -> None:
    client.hset(KEYS.crash_counts, mapping={"sha": record, "other": "1 0"})
    client.zadd(KEYS.crashes, {"sha": 1.0, "other": 2.0})
    for key in (KEYS.crash_counts, KEYS.crashes):
        client.pexpire(key, KEPT_MS)


def acquit(client: redis.Redis) -> object:
    return run(client, "acquit", NAMED, "sha", KEPT_MS)


def test_its_record_goes_and_nobody_is_acquitted_when_it_never_died_alone(raw_redis: redis.Redis) -> None:
    accuse(raw_redis, "2 0")
    assert acquit(raw_redis) == 0
    assert keyspace(raw_redis) == {KEYS.crashes: {b"other": 2.0}, KEYS.crash_counts: {b"other": b"1 0"}}


def test_kills_from_outside_are_proved_when_it_died_alone_before(raw_redis: redis.Redis) -> None:
    raw_redis.set(KEYS.acquitted, 2, px=1000)
    accuse(raw_redis, "3 2")
    assert acquit(raw_redis) == 1
    assert raw_redis.get(KEYS.acquitted) == b"3"
    assert 1000 < raw_redis.pttl(KEYS.acquitted) <= KEPT_MS
    assert raw_redis.hgetall(KEYS.crash_counts) == {b"other": b"1 0"}
    assert acquit(raw_redis) == 0


def test_nothing_changes_when_nothing_is_held_against_it(raw_redis: redis.Redis) -> None:
    assert acquit(raw_redis) == 0
    assert keyspace(raw_redis) == {}


def test_it_is_acquitted_when_redis_is_at_maxmemory(raw_redis: redis.Redis) -> None:
    accuse(raw_redis, "3 2")
    raw_redis.config_set("maxmemory", 1)
    try:
        assert acquit(raw_redis) == 1
    finally:
        raw_redis.config_set("maxmemory", 0)
