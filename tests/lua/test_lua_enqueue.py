"""The script that enqueues what is guarded or waits."""

import pytest
import redis

from tests.support.lua import KEYS, keyspace, redis_ms, run

NAMED = (KEYS.ready, KEYS.scheduled, KEYS.payloads, KEYS.due)
WINDOW_MS = 5000
A, B, C = (KEYS.enqueued(name) for name in "abc")


def enqueue(client: redis.Redis, guards: tuple[str, ...], delay_ms: int, *messages: str | bytes) -> object:
    """All after the same delay; `messages` are pairs of unique id and raw."""
    each = [part for k in range(0, len(messages), 2) for part in (messages[k], f"+{delay_ms}", messages[k + 1])]
    return run(client, "enqueue", (*NAMED, *guards), WINDOW_MS, *each)


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


def test_due_time_is_exactly_what_was_asked_when_a_time_is_given(raw_redis: redis.Redis) -> None:
    at_ms = redis_ms(raw_redis) + 10_000
    far_ms = 4_102_444_800_123
    assert run(raw_redis, "enqueue", NAMED, WINDOW_MS, "u1", at_ms, b"one", "u2", far_ms, b"two") == 2
    assert dict(raw_redis.zrange(KEYS.scheduled, 0, -1, withscores=True)) == {b"u1": at_ms, b"u2": far_ms}
    assert raw_redis.hgetall(KEYS.payloads) == {b"u1": b"one", b"u2": b"two"}
    assert (raw_redis.lrange(KEYS.due, 0, -1), raw_redis.exists(KEYS.ready)) == ([b"1"], 0)


@pytest.mark.parametrize("late_ms", [0, 1, 3_600_000])
def test_message_is_ready_at_once_when_its_time_has_passed_on_redis_clock(raw_redis: redis.Redis, late_ms: int) -> None:
    assert run(raw_redis, "enqueue", NAMED, WINDOW_MS, "u1", redis_ms(raw_redis) - late_ms, b"one") == 1
    assert run(raw_redis, "enqueue", NAMED, WINDOW_MS, "u2", -62_135_596_800_000, b"year one") == 1
    assert keyspace(raw_redis) == {KEYS.ready: [b"one", b"year one"]}


def test_each_has_its_own_time_when_one_script_carries_many(raw_redis: redis.Redis) -> None:
    now_ms = redis_ms(raw_redis)
    assert run(
        raw_redis, "enqueue", (*NAMED, A, B, C), WINDOW_MS,
        "u1", now_ms + 60_000, b"later", "u2", "+0", b"now", "u3", "+30000", b"sooner",
    ) == 3  # fmt: skip
    assert raw_redis.lrange(KEYS.ready, 0, -1) == [b"now"]
    assert raw_redis.zrange(KEYS.scheduled, 0, -1) == [b"u3", b"u1"]
    assert run(raw_redis, "enqueue", (*NAMED, A), WINDOW_MS, "u4", "+0", b"again") == 0


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
