"""Messages come in order into the in-flight record, inbox first, as many as there is room and a fair share."""

import hashlib
import json
from typing import Any

import pytest
import redis

from tests.support.lua import INBOX, INFLIGHT, KEYS, LEASE, WID, enter, keyspace, redis_ms, run

NAMED = (
    KEYS.ready,
    INFLIGHT,
    INBOX,
    LEASE,
    KEYS.workers,
    KEYS.dead,
    KEYS.dead_records,
    KEYS.suspects,
    KEYS.accused,
    KEYS.killed,
)
HOUR_MS = 3_600_000
REGISTERED = {KEYS.workers: {WID.encode(): 0.0}, LEASE: b"1"}


def take(
    client: redis.Redis, first: int, room: int, ahead: int = 0, limit: int = 1000, alone: int = 0, seasoned: int = 1
) -> Any:
    return run(client, "take", NAMED, WID, first, room, ahead, 15_000, limit, 100, 60_000, alone, HOUR_MS, seasoned)


def test_messages_are_recorded_and_returned_in_order_when_there_is_room(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.rpush("q", "a", "b", "c")
    assert take(raw_redis, 41, 2) == [41, 0, 0, b"a", b"b"]
    assert keyspace(raw_redis) == {**REGISTERED, "q": [b"c"], INFLIGHT: {b"41": b"a", b"42": b"b"}}


def test_empty_and_equal_messages_stay_apart_when_taken(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.rpush("q", "", "x", "x")
    assert take(raw_redis, 1, 5) == [1, 0, 0, b"", b"x", b"x"]
    assert raw_redis.hgetall(INFLIGHT) == {b"1": b"", b"2": b"x", b"3": b"x"}


def test_a_thousand_come_in_one_call_when_more_are_asked_for(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raws = [b"%d" % k for k in range(1100)]
    raw_redis.rpush("q", *raws)
    assert take(raw_redis, 1, 600, 500) == [1, 0, 0, *raws[:1000]]
    assert raw_redis.hgetall(INFLIGHT) == {b"%d" % (k + 1): raws[k] for k in range(1000)}
    assert raw_redis.lrange("q", 0, -1) == raws[1000:]


def test_inbox_is_taken_first_when_there_is_room(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.rpush(INBOX, "a")
    raw_redis.rpush("q", "b", "c")
    assert take(raw_redis, 1, 2) == [1, 0, 0, b"a", b"b"]
    assert keyspace(raw_redis) == {**REGISTERED, "q": [b"c"], INFLIGHT: {b"1": b"a", b"2": b"b"}}


@pytest.mark.parametrize(("room", "taken", "left"), [(0, [], [b"a", b"b", b"c"]), (1, [b"a"], [b"b", b"c"])])
def test_inbox_goes_back_to_the_head_in_order_when_there_is_no_room(
    raw_redis: redis.Redis, room: int, taken: list[bytes], left: list[bytes]
) -> None:
    enter(raw_redis)
    raw_redis.rpush(INBOX, "a", "b")
    raw_redis.rpush("q", "c")
    assert take(raw_redis, 1, room) == [1, 0, 0, *taken]
    assert raw_redis.lrange("q", 0, -1) == left
    assert raw_redis.exists(INBOX) == 0


@pytest.mark.parametrize(
    ("live", "ready", "room", "ahead", "count"),
    [
        (1, 100, 10, 20, 30),  # alone: the whole list is our share
        (4, 100, 10, 20, 25),  # ceil(100 / 4)
        (4, 10, 10, 20, 10),  # the share is below the room: room is not cut
        (3, 100, 0, 50, 34),  # look-ahead alone
    ],
)
def test_look_ahead_ends_at_the_fair_share_when_others_live(
    raw_redis: redis.Redis, live: int, ready: int, room: int, ahead: int, count: int
) -> None:
    enter(raw_redis)
    for k in range(1, live):
        raw_redis.zadd(KEYS.workers, {f"other:{k}": 0})
    raw_redis.zadd(KEYS.workers, {"dead:1": 9_999_999_999_999})
    raw_redis.rpush("q", *range(ready))
    assert len(take(raw_redis, 1, room, ahead)) - 3 == count


def test_nothing_changes_when_the_queue_is_empty(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    assert take(raw_redis, 7, 10, 10) == [7, 0, 0]
    assert keyspace(raw_redis) == REGISTERED


def test_lease_is_revived_when_it_expired_and_nobody_reaped(raw_redis: redis.Redis) -> None:
    enter(raw_redis, leased=False)
    raw_redis.rpush("q", "a")
    assert take(raw_redis, 1, 1) == [1, 0, 0, b"a"]
    assert 14_000 < raw_redis.pttl(LEASE) <= 15_000


@pytest.mark.parametrize("score", [None, 9_999_999_999_999])
def test_inbox_goes_back_and_nothing_is_taken_when_not_registered(raw_redis: redis.Redis, score: int | None) -> None:
    if score:
        enter(raw_redis, score=score, leased=False)
    raw_redis.rpush(INBOX, "a", "b")
    raw_redis.rpush("q", "c")
    assert take(raw_redis, 1, 10, 10) == [-1]
    register = {KEYS.workers: {WID.encode(): float(score)}} if score else {}
    assert keyspace(raw_redis) == {**register, "q": [b"a", b"b", b"c"]}


def test_oversized_becomes_a_dead_letter_when_above_the_limit(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    huge, exact = b"h" * 70_000, b"e" * 69_999
    raw_redis.rpush("q", "a", huge, exact)
    before_ms = redis_ms(raw_redis)
    assert take(raw_redis, 5, 3, limit=69_999) == [5, 1, 0, b"a", exact]
    assert raw_redis.hgetall(INFLIGHT) == {b"5": b"a", b"6": exact}
    ((id_, line),) = raw_redis.hgetall(KEYS.dead_records).items()
    header, _, raw = line.partition(b"\n")
    at_ms = json.loads(header).pop("at_ms")
    assert before_ms <= at_ms <= redis_ms(raw_redis)
    sha1 = hashlib.sha1(huge).hexdigest()
    assert json.loads(header) == {"reason": "oversized", "size_bytes": 70_000, "sha1": sha1, "at_ms": at_ms}
    assert raw == huge[:65_536]
    assert raw_redis.zrange(KEYS.dead, 0, -1, withscores=True) == [(id_, float(at_ms))]


def test_two_oversized_stay_two_when_taken_at_once(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.rpush("q", "b" * 11, "b" * 11)
    assert take(raw_redis, 1, 5, limit=10) == [1, 2, 0]
    assert raw_redis.zcard(KEYS.dead) == 2
    assert raw_redis.exists(INFLIGHT) == 0


@pytest.mark.leaves_keys("plants a key of another type")
@pytest.mark.parametrize("key", [INFLIGHT, KEYS.dead, KEYS.dead_records])
def test_nothing_leaves_the_list_when_a_key_has_another_type(raw_redis: redis.Redis, key: str) -> None:
    enter(raw_redis)
    raw_redis.rpush("q", "a", "too long for the limit")
    raw_redis.set(key, "text")
    before = keyspace(raw_redis)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        take(raw_redis, 1, 2, limit=10)
    assert keyspace(raw_redis) == before


@pytest.mark.leaves_keys("plants a key of another type")
@pytest.mark.parametrize("key", [KEYS.ready, INBOX, KEYS.workers])
def test_inbox_keeps_what_landed_when_a_key_has_another_type(raw_redis: redis.Redis, key: str) -> None:
    enter(raw_redis)
    raw_redis.rpush(INBOX, "a")
    raw_redis.delete(key)
    raw_redis.set(key, "text")
    before = keyspace(raw_redis)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        take(raw_redis, 1, 1)
    assert keyspace(raw_redis) == before


@pytest.mark.leaves_keys("plants a key of another type")
def test_settling_alone_goes_on_when_the_queue_has_another_type(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.set("q", "text")
    assert take(raw_redis, 1, 0) == [1, 0, 0]


def test_suspects_are_counted_and_left_alone_when_ordinary_messages_are_taken(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.rpush("q", "a")
    raw_redis.rpush(KEYS.suspects, "s", "t")
    assert take(raw_redis, 1, 5) == [1, 0, 2, b"a"]
    assert raw_redis.lrange(KEYS.suspects, 0, -1) == [b"s", b"t"]


def test_one_suspect_and_nothing_else_comes_under_a_token_below_zero_when_alone(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.rpush("q", "a")
    raw_redis.rpush(KEYS.suspects, "s", "t")
    assert take(raw_redis, 6, 1, alone=1) == [6, 0, 1, b"s"]
    expected = {**REGISTERED, "q": [b"a"], KEYS.suspects: [b"t"], INFLIGHT: {b"-6": b"s"}}
    assert keyspace(raw_redis) == expected


def test_no_suspect_comes_when_something_else_is_in_flight_here(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.hset(INFLIGHT, "3", "a")
    raw_redis.rpush(KEYS.suspects, "s")
    assert take(raw_redis, 6, 1, alone=1) == [6, 0, 1]
    assert raw_redis.lrange(KEYS.suspects, 0, -1) == [b"s"]
    assert raw_redis.hgetall(INFLIGHT) == {b"3": b"a"}


def test_nothing_comes_when_alone_and_there_is_no_suspect(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.rpush("q", "a")
    assert take(raw_redis, 6, 1, alone=1) == [6, 0, 0]
    assert keyspace(raw_redis) == {**REGISTERED, "q": [b"a"]}


@pytest.mark.leaves_keys("plants a key of another type")
@pytest.mark.parametrize("key", [INFLIGHT, KEYS.suspects, KEYS.accused])
def test_no_suspect_leaves_its_place_when_a_key_has_another_type(raw_redis: redis.Redis, key: str) -> None:
    enter(raw_redis)
    raw_redis.rpush(KEYS.suspects, "s")
    raw_redis.delete(key)
    raw_redis.set(key, "text")
    before = keyspace(raw_redis)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        take(raw_redis, 1, 1, alone=1)
    assert keyspace(raw_redis) == before


@pytest.mark.parametrize(
    ("killed_ago_ms", "seasoned", "comes"),
    [(None, 1, True), (None, 0, False), (5_000, 1, False), (HOUR_MS + 1, 1, True), (HOUR_MS + 1, 0, False)],
)
def test_the_accused_come_after_the_suspects_and_only_in_calm(
    raw_redis: redis.Redis, killed_ago_ms: int | None, seasoned: int, comes: bool
) -> None:
    enter(raw_redis)
    raw_redis.rpush(KEYS.suspects, "s")
    raw_redis.rpush(KEYS.accused, "a")
    if killed_ago_ms is not None:
        raw_redis.set(KEYS.killed, redis_ms(raw_redis) - killed_ago_ms, px=60_000)
    assert take(raw_redis, 1, 5, seasoned=seasoned) == [1, 0, 2 if comes else 1]
    assert take(raw_redis, 1, 1, alone=1, seasoned=seasoned) == [1, 0, int(comes), b"s"]
    raw_redis.hdel(INFLIGHT, "-1")
    assert take(raw_redis, 2, 1, alone=1, seasoned=seasoned) == ([2, 0, 0, b"a"] if comes else [2, 0, 0])
    assert raw_redis.llen(KEYS.accused) == (not comes)
