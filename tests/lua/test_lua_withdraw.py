"""An incarnation leaves in order; what it held returns, and a tombstone stays where one is needed."""

from typing import Any

import pytest
import redis

from tests.lua.test_lua_reap import reap
from tests.lua.test_lua_take import take
from tests.support.lua import INBOX, INFLIGHT, KEYS, LEASE, WID, enter, keyspace, redis_ms, run

NAMED = (KEYS.ready, INFLIGHT, INBOX, LEASE, KEYS.workers, KEYS.suspects)


def withdraw(client: redis.Redis, tombstone_ms: int = 0) -> Any:
    return run(client, "withdraw", NAMED, WID, tombstone_ms)


def hold(client: redis.Redis) -> None:
    client.hset(INFLIGHT, mapping={"10": "b", "9": "a"})
    client.rpush(INBOX, "c")
    client.rpush("q", "d")


def test_only_the_queue_remains_when_it_leaves_cleanly(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    hold(raw_redis)
    assert withdraw(raw_redis) == 3
    assert keyspace(raw_redis) == {"q": [b"a", b"b", b"c", b"d"]}


def test_what_ran_alone_goes_to_the_head_of_the_suspects_when_it_leaves(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.hset(INFLIGHT, mapping={"-5": "s", "4": "a"})
    raw_redis.rpush(KEYS.suspects, "t")
    assert withdraw(raw_redis) == 2
    assert keyspace(raw_redis) == {"q": [b"a"], KEYS.suspects: [b"s", b"t"]}


def test_tombstone_stays_when_a_move_may_still_land(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    now = redis_ms(raw_redis)
    assert withdraw(raw_redis, 1000_000) == 0
    after = keyspace(raw_redis)
    assert now + 1000_000 <= after.pop(KEYS.workers)[WID.encode()] <= redis_ms(raw_redis) + 1000_000
    assert after == {}


def test_tombstone_of_a_reap_stays_when_it_leaves_afterwards(raw_redis: redis.Redis) -> None:
    enter(raw_redis, score=123, leased=False)
    assert withdraw(raw_redis) == 0
    assert keyspace(raw_redis) == {KEYS.workers: {WID.encode(): 123.0}}


@pytest.mark.parametrize(("tombstone_ms", "reaped", "registered"), [(0, [-1], 1), (1000_000, [0, 0], 0)])
def test_late_requests_are_refused_when_it_has_left(
    raw_redis: redis.Redis, tombstone_ms: int, reaped: list[int], registered: int
) -> None:
    """Forgotten at once it may be entered again: it is then found without a lease, and reaped like any other."""
    enter(raw_redis)
    raw_redis.rpush("q", "d")
    withdraw(raw_redis, tombstone_ms)
    before = keyspace(raw_redis)
    assert run(raw_redis, "revive", (LEASE, KEYS.workers), WID, 15_000) == 0
    assert take(raw_redis, 1, 5) == take(raw_redis, 1, 1, alone=1) == [-1]
    assert reap(raw_redis, 1) == reaped
    assert keyspace(raw_redis) == before
    assert run(raw_redis, "register", (LEASE, KEYS.workers), WID, 15_000) == registered


def test_nothing_happens_when_it_left_before(raw_redis: redis.Redis) -> None:
    raw_redis.rpush("q", "d")
    assert withdraw(raw_redis) == 0
    assert keyspace(raw_redis) == {"q": [b"d"]}


@pytest.mark.leaves_keys("plants a key of another type")
@pytest.mark.parametrize("key", [KEYS.ready, INFLIGHT, INBOX, KEYS.workers])
def test_nothing_leaves_its_place_when_a_key_has_another_type(raw_redis: redis.Redis, key: str) -> None:
    enter(raw_redis)
    hold(raw_redis)
    raw_redis.delete(key)
    raw_redis.set(key, "text")
    before = keyspace(raw_redis)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        withdraw(raw_redis)
    assert keyspace(raw_redis) == before


@pytest.mark.leaves_keys("plants a key of another type")
def test_it_leaves_when_it_holds_nothing_and_the_queue_has_another_type(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.set("q", "text")
    assert withdraw(raw_redis) == 0
    assert keyspace(raw_redis) == {"q": b"text"}


def test_order_is_kept_when_it_holds_more_than_one_lua_call_can_carry(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raws = [b"%d" % k for k in range(18_000)]
    raw_redis.hset(INFLIGHT, mapping={str(k + 1): raws[k] for k in range(9000)})
    raw_redis.rpush(INBOX, *raws[9000:])
    assert withdraw(raw_redis) == 18_000
    assert keyspace(raw_redis) == {"q": raws}
