"""An expired lease comes back as long as nobody has reaped the incarnation."""

import redis

from tests.support.lua import KEYS, LEASE, WID, enter, keyspace, run

NAMED = (LEASE, KEYS.workers)


def test_lease_comes_back_when_it_expired_and_nobody_reaped(raw_redis: redis.Redis) -> None:
    enter(raw_redis, leased=False)
    assert run(raw_redis, "revive", NAMED, WID, 15_000) == 1
    assert keyspace(raw_redis) == {KEYS.workers: {WID.encode(): 0.0}, LEASE: b"1"}
    assert 14_000 < raw_redis.pttl(LEASE) <= 15_000


def test_lease_stays_gone_when_the_incarnation_was_reaped(raw_redis: redis.Redis) -> None:
    enter(raw_redis, score=5, leased=False)
    assert run(raw_redis, "revive", NAMED, WID, 15_000) == 0
    assert keyspace(raw_redis) == {KEYS.workers: {WID.encode(): 5.0}}


def test_nothing_is_made_when_the_incarnation_is_unknown(raw_redis: redis.Redis) -> None:
    assert run(raw_redis, "revive", NAMED, WID, 15_000) == 0
    assert keyspace(raw_redis) == {}
