"""A message that ran alone and lived: what was held against it goes; that it had died alone before is counted."""

import hashlib

import pytest
import redis

from tests.support.lua import INFLIGHT, KEYS, keyspace, run

NAMED = (INFLIGHT, KEYS.crashes, KEYS.crash_counts, KEYS.acquitted)
SHA = hashlib.sha1(b"a").hexdigest()
KEPT_MS = 3_600_000


def accuse(client: redis.Redis, deaths: int, points: int) -> None:
    client.hset(INFLIGHT, "-5", "a")
    client.hset(KEYS.crash_counts, mapping={SHA: f"{deaths} {points}", "other": "1 0"})
    client.zadd(KEYS.crashes, {SHA: 1.0, "other": 2.0})
    for key in (KEYS.crash_counts, KEYS.crashes):
        client.pexpire(key, KEPT_MS)


def acquit(client: redis.Redis, token: int = -5) -> object:
    return run(client, "acquit", NAMED, token, KEPT_MS)


@pytest.mark.leaves_keys("in flight at nobody: only the script is judged")
def test_its_record_goes_and_nobody_else_is_suspected_when_it_never_died_alone(raw_redis: redis.Redis) -> None:
    accuse(raw_redis, 2, 0)
    assert acquit(raw_redis) == 1
    left = {KEYS.crashes: {b"other": 2.0}, KEYS.crash_counts: {b"other": b"1 0"}, INFLIGHT: {b"-5": b"a"}}
    assert keyspace(raw_redis) == left


@pytest.mark.leaves_keys("in flight at nobody: only the script is judged")
def test_kills_from_outside_are_proved_when_it_died_alone_before(raw_redis: redis.Redis) -> None:
    raw_redis.set(KEYS.acquitted, 2, px=1000)
    accuse(raw_redis, 3, 2)
    assert acquit(raw_redis) == 1
    assert raw_redis.get(KEYS.acquitted) == b"3"
    assert 1000 < raw_redis.pttl(KEYS.acquitted) <= KEPT_MS
    assert raw_redis.hgetall(KEYS.crash_counts) == {b"other": b"1 0"}


@pytest.mark.leaves_keys("in flight at nobody: only the script is judged")
def test_nothing_is_counted_when_nothing_is_held_against_it(raw_redis: redis.Redis) -> None:
    raw_redis.hset(INFLIGHT, "-5", "a")
    assert acquit(raw_redis) == 1
    assert keyspace(raw_redis) == {INFLIGHT: {b"-5": b"a"}}


@pytest.mark.leaves_keys("in flight at nobody: only the script is judged")
def test_nothing_changes_when_the_message_is_not_ours_any_more(raw_redis: redis.Redis) -> None:
    accuse(raw_redis, 3, 2)
    before = keyspace(raw_redis)
    assert acquit(raw_redis, -6) == 0
    assert keyspace(raw_redis) == before
