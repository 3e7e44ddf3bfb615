"""Read-only questions."""

import time
from collections.abc import AsyncIterator

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.inspector import RedisInspector
from asyncq.broker.keys import queue_keys
from asyncq.broker.redis_broker import RedisBroker
from asyncq.core import codec
from asyncq.core.doors import Batch, QueueStats
from asyncq.core.settlement import DeadLetter, Reschedule
from tests.contract.conftest import Register

KEYS = queue_keys("q")


@pytest.fixture
async def inspector(settings: ConnectionSettings) -> AsyncIterator[RedisInspector]:
    made = RedisInspector(settings)
    yield made
    await made.close()


def message(timestamp: float) -> bytes:
    return codec.encode({"id": "1", "name": "n", "payload": None, "timestamp": timestamp})


async def test_everything_is_zero_when_the_queue_was_never_used(inspector: RedisInspector) -> None:
    assert await inspector.stats("q") == QueueStats(
        queue="q", ready=0, scheduled=0, due=0, in_flight=0, suspects=0, dead=0, workers=0, oldest_age_s=None
    )
    assert await inspector.dead_letters("q") == []
    await inspector.ping()


async def test_every_state_is_counted_when_messages_are_in_it(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register, inspector: RedisInspector
) -> None:
    raw_redis.rpush("q", "a", "b", "c", "d", "e", message(time.time() - 100), "g")
    first, second, gone = await register(), await register(), await register()
    a, b, c, _ = (await first.exchange(Batch(), 4, 0)).tokens
    await second.exchange(Batch(), 1, 0)
    others = [
        (a, b"a", Reschedule(0.0, b"a")),
        (b, b"b", Reschedule(60.0, b"b")),
        (c, b"c", DeadLetter("exhausted", {})),
    ]
    await first.exchange(Batch(others=[*others]), 0, 0)
    await broker.reap("q", gone.wid, forced=True)
    raw_redis.rpush(KEYS.inbox(second.wid), "landed")
    raw_redis.rpush(KEYS.suspects, "s", "t", "u", "v", "w")
    stats = await inspector.stats("q")
    assert stats.oldest_age_s is not None
    assert 99 < stats.oldest_age_s < 130
    assert (stats.ready, stats.scheduled, stats.due, stats.in_flight) == (2, 2, 1, 3)
    assert (stats.suspects, stats.dead, stats.workers) == (5, 1, 2)


@pytest.mark.parametrize("raw", [b"not json", b"{}"])
async def test_age_is_unknown_when_the_oldest_message_cannot_be_read(
    raw_redis: redis.Redis, inspector: RedisInspector, raw: bytes
) -> None:
    raw_redis.rpush("q", raw)
    assert (await inspector.stats("q")).oldest_age_s is None


async def test_age_is_never_negative_when_a_producer_clock_is_ahead(
    raw_redis: redis.Redis, inspector: RedisInspector
) -> None:
    raw_redis.rpush("q", message(time.time() + 1000))
    assert (await inspector.stats("q")).oldest_age_s == 0.0


async def test_dead_letters_show_header_and_raw_bytes_youngest_first_when_peeked(
    raw_redis: redis.Redis, broker: RedisBroker, inspector: RedisInspector
) -> None:
    known: set[bytes] = set()
    for k in range(3):
        dead = DeadLetter("exhausted", {"name": "n", "error": f"e{k}\nline", "reason": "overridden"})
        await broker.settle_popped("q", [(b"raw\n%d" % k, dead)])
        (id_,) = set(raw_redis.zrange(KEYS.dead, 0, -1)) - known
        known.add(id_)
        raw_redis.zincrby(KEYS.dead, 1000 * k, id_)  # a second apart
    records = await inspector.dead_letters("q", limit=2)
    assert [record.raw for record in records] == [b"raw\n2", b"raw\n1"]
    assert [record.header["reason"] for record in records] == ["exhausted", "exhausted"]
    assert [record.header["error"] for record in records] == ["e2\nline", "e1\nline"]
    assert all(isinstance(record.header["at_ms"], int) for record in records)
    assert await inspector.dead_letters("q", limit=0) == []


@pytest.mark.leaves_keys("plants an id without its record")
async def test_dead_letter_is_left_out_when_it_was_forgotten_meanwhile(
    raw_redis: redis.Redis, broker: RedisBroker, inspector: RedisInspector
) -> None:
    await broker.settle_popped("q", [(b"kept", DeadLetter("exhausted", {}))])
    raw_redis.zadd(KEYS.dead, {"forgotten": 1})
    assert [record.raw for record in await inspector.dead_letters("q")] == [b"kept"]
