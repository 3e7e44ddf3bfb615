"""Every server on PATH can do what asyncq asks of one; --every-redis-server runs the whole suite on all of them."""

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.inspector import RedisInspector
from asyncq.broker.keys import queue_keys
from asyncq.broker.producer import Producer
from asyncq.broker.redis_broker import RedisBroker
from asyncq.broker.scripts import NAMES, script
from asyncq.core.doors import Batch, Reaped
from asyncq.core.settlement import RELEASE, DeadLetter, Reschedule
from tests.support import redis_servers
from tests.support.lua import keyspace
from tests.support.redis_servers import RedisServers

KEYS = queue_keys("q")
NOTHING = Batch()
PATHS = {redis_servers.label(binary): binary.path for binary in redis_servers.on_path()}


@pytest.fixture(scope="session", params=PATHS.values() or [None], ids=[*PATHS] or ["none"])
def redis_socket(request: pytest.FixtureRequest, running_servers: RedisServers) -> str:
    """Of each server on PATH, in place of the one under test."""
    if request.param is None:
        pytest.skip("no redis-server or valkey-server 7.0 or newer on PATH")
    return running_servers.socket(request.param)


def test_every_script_is_known_by_its_digest_when_it_was_loaded(raw_redis: redis.Redis) -> None:
    raw_redis.script_flush()
    assert [raw_redis.script_load(script(name).source) for name in NAMES] == [script(name).sha for name in NAMES]
    assert raw_redis.script_exists(*(script(name).sha for name in NAMES)) == [True] * len(NAMES)


async def test_messages_are_pushed_taken_settled_and_handed_back(
    raw_redis: redis.Redis, settings: ConnectionSettings
) -> None:
    producer, broker, inspector = Producer(settings), RedisBroker(settings), RedisInspector(settings)
    await producer.push_many("q", [b"%d" % k for k in range(6)])
    registration = await broker.register("q", broker.incarnation())
    assert await registration.wait(5.0) is True
    a, b, c, d, _ = (await registration.exchange(NOTHING, 5, 0)).tokens
    others = [(b, b"1", Reschedule(0.0, b"again")), (c, b"2", DeadLetter("exhausted", {})), (d, b"3", RELEASE)]
    assert (await registration.exchange(Batch(completed=[a], others=[*others]), 0, 0)).late == 0
    assert await broker.promote("q") == (1, None)
    stats = await inspector.stats("q")
    assert (stats.ready, stats.in_flight, stats.dead, stats.workers) == (3, 1, 1, 1)
    assert await registration.renew() is True
    assert await broker.reap("q", registration.wid, forced=True) == Reaped(1)
    with pytest.raises(LookupError, match="not registered"):
        await registration.exchange(NOTHING, 1, 0)
    for end in (registration, producer, broker, inspector):
        await end.close()
    left = keyspace(raw_redis)
    assert left["q"] == [b"4", b"3", b"5", b"again"]
    assert set(left) == {"q", KEYS.workers, KEYS.due, KEYS.dead, KEYS.dead_records}
