"""A message was seen to block its process for ever: it alone is to blame, and what ran beside it is not."""

import pytest
import redis

from asyncq.core.blame import Blame
from tests.lua.test_lua_reap_blame import CRASHED, KILLED, NOBODY, POISON, die, reap, record
from tests.support.lua import INBOX, INFLIGHT, KEYS, enter, keyspace


def test_first_hang_makes_a_suspect_and_accuses_nobody_else(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.hset(INFLIGHT, mapping={"1": "a", "2": "stuck", "10": "b"})
    raw_redis.rpush(INBOX, "never started")
    assert reap(raw_redis, CRASHED, culprit=2) == [3, 1]
    assert raw_redis.lrange("q", 0, -1) == [b"a", b"b", b"never started"]
    assert raw_redis.lrange(KEYS.suspects, 0, -1) == [b"stuck"]
    assert list(raw_redis.hgetall(KEYS.crash_counts).values()) == [b"1 0"]


def test_those_beside_it_never_become_suspects(raw_redis: redis.Redis) -> None:
    for _ in range(5):
        assert die(raw_redis, CRASHED, {1: b"a", 2: b"stuck"}, culprit=2) == [1, 1]


def test_second_hang_convicts_when_it_ran_alone(raw_redis: redis.Redis) -> None:
    assert die(raw_redis, CRASHED, {1: b"a", 2: POISON}, culprit=2) == [1, 1]
    found = die(raw_redis, CRASHED, {-1: POISON}, culprit=-1)
    assert found[:2] == [0, 0]
    assert raw_redis.zrange(KEYS.dead, 0, -1) == found[2:]
    header, raw = record(raw_redis)
    header.pop("at_ms")
    assert header == {"reason": "poison", "deaths": 2, "id": "m-1", "name": "mail:send"}
    assert raw == POISON
    assert raw_redis.exists(KEYS.crashes, KEYS.crash_counts) == 0


def test_nobody_is_convicted_when_others_were_in_flight_beside_it(raw_redis: redis.Redis) -> None:
    for _ in range(3):
        assert die(raw_redis, CRASHED, {-1: b"stuck", 2: b"b"}, culprit=-1) == [1, 1]
        assert die(raw_redis, CRASHED, {-1: b"stuck", -2: b"b"}, culprit=-1) == [0, 2]


def test_a_suspect_beside_it_stays_one_and_is_not_accused(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.hset(INFLIGHT, mapping={"-1": "a", "2": "stuck"})
    assert reap(raw_redis, CRASHED, culprit=2) == [0, 2]
    assert raw_redis.lrange(KEYS.suspects, 0, -1) == [b"a", b"stuck"]
    assert raw_redis.hlen(KEYS.crash_counts) == 1


@pytest.mark.parametrize("blame", [NOBODY, KILLED, CRASHED])
def test_nobody_is_to_blame_when_the_culprit_has_been_settled(raw_redis: redis.Redis, blame: Blame) -> None:
    assert die(raw_redis, blame, {1: b"a", -2: b"b"}, culprit=7) == [1, 1]
    assert raw_redis.exists(KEYS.crashes, KEYS.crash_counts, KEYS.killed) == 0


def test_a_hang_does_not_end_the_calm(raw_redis: redis.Redis) -> None:
    die(raw_redis, KILLED, {1: b"stuck"}, culprit=1)
    assert raw_redis.exists(KEYS.killed) == 0


def test_equal_messages_beside_it_go_back(raw_redis: redis.Redis) -> None:
    assert die(raw_redis, CRASHED, {1: b"same", 2: b"same", 3: b"same"}, culprit=2) == [2, 1]


@pytest.mark.leaves_keys("plants a key of another type")
def test_it_stays_when_the_list_of_suspects_has_another_type(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.hset(INFLIGHT, "1", "stuck")
    raw_redis.set(KEYS.suspects, "text")
    before = keyspace(raw_redis)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        reap(raw_redis, CRASHED, culprit=1)
    assert keyspace(raw_redis) == before
