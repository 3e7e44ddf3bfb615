"""Pushing, from asyncio and from threads."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.keys import queue_keys
from asyncq.broker.producer import Producer
from asyncq.broker.redis_sync import SyncProducer
from asyncq.broker.sync_wire import OneSyncWire
from asyncq.core.errors import BrokerRefusedError, BrokerUnavailableError, ConfigurationError, OutcomeUnknownError
from tests.support.proxy import FaultyProxy

KEYS = queue_keys("q")
Call = Callable[..., Awaitable[None]]


class Threaded:
    """SyncProducer behind the asyncio producer's interface, so that one suite judges both."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._sync = SyncProducer(settings)

    def __getattr__(self, name: str) -> Call:
        method = getattr(self._sync, name)

        async def call(*arguments: object) -> None:
            await asyncio.to_thread(method, *arguments)

        return call


Kind = type[Producer] | type[Threaded]
both = pytest.mark.parametrize("kind", [Producer, Threaded])


@both
async def test_messages_are_ready_in_order_when_pushed(
    raw_redis: redis.Redis, settings: ConnectionSettings, kind: Kind
) -> None:
    producer = kind(settings)
    await producer.push("q", b"a")
    raws = [b"%d" % k for k in range(2500)]
    await producer.push_many("q", raws)
    await producer.push_many("q", [])
    assert raw_redis.lrange("q", 0, -1) == [b"a", *raws]
    await producer.close()


@both
async def test_one_command_carries_a_thousand_when_many_are_pushed(
    raw_redis: redis.Redis, settings: ConnectionSettings, kind: Kind
) -> None:
    producer = kind(settings)
    raw_redis.config_resetstat()
    await producer.push_many("q", [b"%d" % k for k in range(2500)])
    await producer.push_many("q", [])
    assert raw_redis.info("commandstats")["cmdstat_rpush"]["calls"] == 3
    await producer.close()


@both
async def test_outcome_is_unknown_and_nothing_is_sent_again_when_the_reply_is_lost(
    raw_redis: redis.Redis, proxy: FaultyProxy, kind: Kind
) -> None:
    producer = kind(ConnectionSettings(proxy.url))
    proxy.lose_reply_to = b"RPUSH"
    with pytest.raises(OutcomeUnknownError, match="0 of 1 messages were accepted, the fate of the next 1 is unknown"):
        await producer.push("q", b"a")
    assert raw_redis.lrange("q", 0, -1) == [b"a"]
    await producer.push("q", b"b")
    assert raw_redis.lrange("q", 0, -1) == [b"a", b"b"]
    await producer.close()


@both
async def test_error_says_that_nothing_happened_when_nobody_listens(redis_url: str, kind: Kind) -> None:
    producer = kind(ConnectionSettings("redis://user:secret@127.0.0.1:1/0"))
    with pytest.raises(BrokerUnavailableError, match=r"cannot reach Redis at redis://\*{3}@127.0.0.1:1/0") as caught:
        await producer.push("q", b"a")
    assert "secret" not in str(caught.value)
    await producer.close()


@pytest.mark.leaves_keys("plants a key of another type")
@both
async def test_error_is_plain_when_redis_answers_that_it_refuses(
    raw_redis: redis.Redis, settings: ConnectionSettings, kind: Kind
) -> None:
    producer = kind(settings)
    raw_redis.set("q", "text")
    with pytest.raises(BrokerRefusedError, match="WRONGTYPE"):
        await producer.push("q", b"a")
    await producer.close()


@both
async def test_push_is_put_off_when_redis_is_full(
    raw_redis: redis.Redis, settings: ConnectionSettings, kind: Kind
) -> None:
    producer = kind(settings)
    raw_redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerUnavailableError, match="maxmemory"):
            await producer.push("other", b"a")
    finally:
        raw_redis.config_set("maxmemory", 0)
    await producer.close()


@both
async def test_error_tells_how_many_were_accepted_when_it_fails_in_the_middle(
    raw_redis: redis.Redis, proxy: FaultyProxy, kind: Kind
) -> None:
    producer = kind(ConnectionSettings(proxy.url))
    proxy.lose_reply_to = b"m1000\r\n"
    with pytest.raises(OutcomeUnknownError, match="1000 of 1500 messages were accepted, the fate of the next 500"):
        await producer.push_many("q", [b"m%d" % k for k in range(1500)])
    assert raw_redis.llen("q") == 1500
    await producer.close()


@both
async def test_connection_is_replaced_when_redis_closed_it_while_idle(
    raw_redis: redis.Redis, settings: ConnectionSettings, kind: Kind
) -> None:
    producer = kind(settings)
    await producer.push("q", b"a")
    raw_redis.client_kill_filter(_type="normal", skipme=True)
    for _ in range(3):
        await asyncio.sleep(0)  # let the loop hear of it, as a real pause between two pushes does
    await producer.push("q", b"b")
    assert raw_redis.lrange("q", 0, -1) == [b"a", b"b"]
    await producer.close()


async def test_name_is_refused_when_it_is_not_a_queue_name(settings: ConnectionSettings) -> None:
    producer = Producer(settings)
    with pytest.raises(ConfigurationError, match="queue name"):
        await producer.push("a b", b"a")
    await producer.close()


async def test_pushes_share_a_few_connections_when_many_run_at_once(
    raw_redis: redis.Redis, settings: ConnectionSettings
) -> None:
    producer = Producer(settings, connections=3)
    await asyncio.gather(*(producer.push("q", b"%d" % k) for k in range(200)))
    assert raw_redis.llen("q") == 200
    assert sum(row["name"] == "asyncq:producer" for row in raw_redis.client_list()) <= 3
    await producer.close()


def test_threads_push_side_by_side_when_they_share_a_producer(
    raw_redis: redis.Redis, settings: ConnectionSettings
) -> None:
    producer = SyncProducer(settings)

    def work() -> None:
        for _ in range(50):
            producer.push("q", b"x")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raw_redis.llen("q") == 200
    producer.close()


def test_child_opens_its_own_connection_when_the_process_forks(
    raw_redis: redis.Redis, settings: ConnectionSettings
) -> None:
    wire = OneSyncWire(settings, "forking")
    ours = wire.call("CLIENT", "ID")
    pid = os.fork()
    if pid == 0:
        try:
            wire.call("RPUSH", "ids", wire.call("CLIENT", "ID"))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert wire.call("CLIENT", "ID") == ours
    (theirs,) = raw_redis.lrange("ids", 0, -1)
    assert int(theirs) != ours
    wire.close()
