"""A message that was ours waits in `scheduled`, and the bell rings for the earliest."""

import pytest
import redis

from tests.support.lua import INFLIGHT, KEYS, keyspace, redis_ms, run

NAMED = (INFLIGHT, KEYS.scheduled, KEYS.payloads, KEYS.due)


def reschedule(client: redis.Redis, token: int | str, unique: str, delay_ms: int, raw: bytes) -> object:
    return run(client, "settle_reschedule", NAMED, token, unique, delay_ms, raw)


@pytest.mark.leaves_keys("in flight at nobody: only the script is judged")
def test_message_waits_when_it_was_ours(raw_redis: redis.Redis) -> None:
    raw_redis.hset(INFLIGHT, mapping={"7": "old", "8": "other"})
    before_ms = redis_ms(raw_redis)
    assert reschedule(raw_redis, 7, "w:7", 5000, b"new") == 1
    after = keyspace(raw_redis)
    due_ms = after.pop(KEYS.scheduled)[b"w:7"]
    assert before_ms + 5000 <= due_ms <= redis_ms(raw_redis) + 5000
    assert after == {INFLIGHT: {b"8": b"other"}, KEYS.payloads: {b"w:7": b"new"}, KEYS.due: [b"1"]}
    assert 0 < raw_redis.pttl(KEYS.due) <= 60_000


@pytest.mark.leaves_keys("in flight at nobody: only the script is judged")
def test_nothing_changes_when_the_message_is_not_ours_any_more(raw_redis: redis.Redis) -> None:
    raw_redis.hset(INFLIGHT, "8", "other")
    assert reschedule(raw_redis, 7, "w:7", 5000, b"new") == 0
    assert keyspace(raw_redis) == {INFLIGHT: {b"8": b"other"}}


def test_message_waits_when_nothing_fences_it(raw_redis: redis.Redis) -> None:
    assert reschedule(raw_redis, "", "u1", 0, b"new") == 1
    assert raw_redis.hgetall(KEYS.payloads) == {b"u1": b"new"}
    assert raw_redis.exists(INFLIGHT) == 0


def test_equal_payloads_stay_two_when_both_wait(raw_redis: redis.Redis) -> None:
    assert [reschedule(raw_redis, "", unique, 10, b"same") for unique in ("a", "b")] == [1, 1]
    assert raw_redis.hgetall(KEYS.payloads) == {b"a": b"same", b"b": b"same"}
    assert raw_redis.zcard(KEYS.scheduled) == 2


def test_due_list_rings_only_when_the_new_one_is_the_earliest(raw_redis: redis.Redis) -> None:
    reschedule(raw_redis, "", "far", 60_000, b"x")
    assert raw_redis.lpop(KEYS.due) == b"1"
    reschedule(raw_redis, "", "farther", 90_000, b"x")
    assert raw_redis.exists(KEYS.due) == 0
    reschedule(raw_redis, "", "near", 1_000, b"x")
    reschedule(raw_redis, "", "nearer", 500, b"x")
    assert raw_redis.lrange(KEYS.due, 0, -1) == [b"1"]


@pytest.mark.leaves_keys("plants a key of another type")
@pytest.mark.parametrize("key", [KEYS.scheduled, KEYS.payloads, KEYS.due])
def test_message_stays_in_flight_when_a_key_has_another_type(raw_redis: redis.Redis, key: str) -> None:
    raw_redis.hset(INFLIGHT, "7", "old")
    raw_redis.set(key, "text")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        reschedule(raw_redis, 7, "w:7", 0, b"new")
    assert keyspace(raw_redis) == {INFLIGHT: {b"7": b"old"}, key: b"text"}
