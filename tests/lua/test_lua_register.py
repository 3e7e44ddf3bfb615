"""An incarnation enters the register once, with a lease, and never after it was reaped."""

import redis

from tests.support.lua import KEYS, LEASE, WID, enter, keyspace, run

NAMED = (LEASE, KEYS.workers)


def test_incarnation_is_registered_and_leased_when_new(raw_redis: redis.Redis) -> None:
    assert run(raw_redis, "register", NAMED, WID, 15_000) == 1
    assert keyspace(raw_redis) == {KEYS.workers: {WID.encode(): 0.0}, LEASE: b"1"}
    assert 14_000 < raw_redis.pttl(LEASE) <= 15_000


def test_nothing_changes_when_registered_twice(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    before = keyspace(raw_redis)
    assert run(raw_redis, "register", NAMED, WID, 15_000) == 1
    assert keyspace(raw_redis) == before


def test_request_is_refused_when_the_incarnation_was_reaped(raw_redis: redis.Redis) -> None:
    enter(raw_redis, score=9_999_999_999_999, leased=False)
    before = keyspace(raw_redis)
    assert run(raw_redis, "register", NAMED, WID, 15_000) == 0
    assert keyspace(raw_redis) == before
