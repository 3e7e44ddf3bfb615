"""The script that enqueues what is guarded or delayed."""

import pytest
import redis

from tests.support.lua import KEYS, keyspace, redis_ms, run

NAMED = (KEYS.ready, KEYS.scheduled, KEYS.payloads, KEYS.due)
WINDOW_MS = 5000
A, B, C = (KEYS.enqueued(name) for name in "abc")


def enqueue(client: redis.Redis, guards: tuple[str, ...], delay_ms: int, *messages: str | bytes) -> object:
    return run(client, "enqueue", (*NAMED, *guards), delay_ms, WINDOW_MS, *messages)


def test_messages_are_ready_in_order_when_nothing_guards_or_delays_them(raw_redis: redis.Redis) -> None:
    assert enqueue(raw_redis, (), 0, "u1", b"one", "u2", b"two") == 2
    assert keyspace(raw_redis) == {KEYS.ready: [b"one", b"two"]}


def test_guards_stand_as_long_as_asked_when_messages_are_guarded(raw_redis: redis.Redis) -> None:
    assert enqueue(raw_redis, (A, B), 0, "u1", b"one", "u2", b"two") == 2
    assert keyspace(raw_redis) == {KEYS.ready: [b"one", b"two"], A: b"1", B: b"1"}
    assert all(WINDOW_MS - 1000 < raw_redis.pttl(guard) <= WINDOW_MS for guard in (A, B))


def test_only_what_is_new_is_enqueued_when_a_guard_is_there(raw_redis: redis.Redis) -> None:
    enqueue(raw_redis, (A, B), 0, "u1", b"one", "u2", b"two")
    assert enqueue(raw_redis, (B, C, C), 0, "u3", b"two again", "u4", b"three", "u5", b"three again") == 1
    assert raw_redis.lrange(KEYS.ready, 0, -1) == [b"one", b"two", b"three"]


@pytest.mark.parametrize("delay_ms", [0, 700])
def test_nothing_is_enqueued_when_every_guard_is_there(raw_redis: redis.Redis, delay_ms: int) -> None:
    enqueue(raw_redis, (A, B), delay_ms, "u1", b"one", "u2", b"two")
    before = keyspace(raw_redis)
    assert enqueue(raw_redis, (A, B), delay_ms, "u3", b"one", "u4", b"two") == 0
    assert keyspace(raw_redis) == before


def test_messages_wait_when_they_are_delayed(raw_redis: redis.Redis) -> None:
    before_ms = redis_ms(raw_redis)
    assert enqueue(raw_redis, (A, B), 700, "u1", b"same", "u2", b"same") == 2
    due = raw_redis.zrange(KEYS.scheduled, 0, -1, withscores=True)
    assert [unique for unique, _ in due] == [b"u1", b"u2"]
    assert all(before_ms + 700 <= at_ms <= redis_ms(raw_redis) + 700 for _, at_ms in due)
    assert raw_redis.hgetall(KEYS.payloads) == {b"u1": b"same", b"u2": b"same"}
    assert (raw_redis.lrange(KEYS.due, 0, -1), raw_redis.exists(KEYS.ready)) == ([b"1"], 0)
    assert 0 < raw_redis.pttl(KEYS.due) <= 60_000


def test_nothing_is_enqueued_and_no_guard_left_when_redis_is_at_its_limit(raw_redis: redis.Redis) -> None:
    raw_redis.config_set("maxmemory", 1)
    try:
        for guards, delay_ms in (((), 0), ((A,), 0), ((A,), 500)):
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                enqueue(raw_redis, guards, delay_ms, "u1", b"one")
    finally:
        raw_redis.config_set("maxmemory", 0)
    assert keyspace(raw_redis) == {}


@pytest.mark.leaves_keys("plants a key of another type")
@pytest.mark.parametrize("key", NAMED)
def test_no_guard_is_left_when_a_key_has_another_type(raw_redis: redis.Redis, key: str) -> None:
    raw_redis.set(key, "text")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        enqueue(raw_redis, (A,), 500, "u1", b"one")
    assert keyspace(raw_redis) == {key: b"text"}
