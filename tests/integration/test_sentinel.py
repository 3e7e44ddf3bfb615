"""A real worker behind real sentinels: the master is demoted, or killed, and the worker goes on with the new one."""

import asyncio
import time
from collections.abc import Callable

import pytest

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.failures import NotSentError
from asyncq.broker.redis_sync import SyncProducer
from asyncq.broker.wire import AsyncWire
from asyncq.core.errors import BrokerRefusedError, BrokerUnavailableError
from tests.support import acl
from tests.support.nodes import HOST
from tests.support.numbered import message, numbered
from tests.support.sentinel import Sentinels
from tests.support.states import until

BACK_S = 3.0  # the longest pause between two tries is 2 s
KNOWN = 2000


def demote(sentinels: Sentinels) -> None:
    # For seconds after such a failover sentinels let the old master be one. As our README advises it takes no writes
    # then; not so the new one, which would need a second replica.
    sentinels.master.client.config_set("min-replicas-to-write", 1)
    sentinels.fail_over()


def kill(sentinels: Sentinels) -> None:
    sentinels.master.kill()


@pytest.mark.parametrize("strike", [demote, kill])
async def test_all_that_was_replicated_is_run_and_the_worker_takes_from_the_new_master(
    sentinels: Sentinels, strike: Callable[[Sentinels], None]
) -> None:
    first = sentinels.master
    async with numbered(sentinels.url) as work:
        await work.push(KNOWN)
        sentinels.replicate()
        await until(lambda: len(work.ran) > 200)
        struck = time.monotonic()
        strike(sentinels)
        await until(lambda: sentinels.master is not first, 40.0, "a new master")
        named = time.monotonic()
        await work.push(guarded=True)
        await until(lambda: KNOWN in work.ran, 20.0, "the message that was pushed afterwards")
        ran = time.monotonic()
        print(f"new master after {named - struck:.2f} s, its first message after {ran - named:.2f} s more")
        assert ran - named < BACK_S
        await until(lambda: set(work.ran) == set(range(KNOWN + 1)), 20.0, "all of them")
        await until(lambda: sentinels.master.client.llen("q") == 0, 20.0, "the new master is drained")
        assert not work.running.done()


async def test_demoted_master_is_left_and_not_believed_again(sentinels: Sentinels) -> None:
    master, replica = sentinels.servers
    wire = AsyncWire(ConnectionSettings(sentinels.url), "role")
    line = wire.line("line")
    await wire.call("RPUSH", "q", "a")
    waiting = asyncio.ensure_future(line.call(("BLPOP", "empty", "30"), 30.0))
    await until(lambda: any("b" in row["flags"] for row in master.client.client_list()))
    master.client.replicaof(HOST, replica.port)
    with pytest.raises(BrokerUnavailableError, match="UNBLOCKED"):
        await asyncio.wait_for(waiting, 5.0)
    with pytest.raises(BrokerUnavailableError, match="read only"):
        await wire.call("RPUSH", "q", "b")
    sentence = f"cannot reach Redis at .*the sentinels name {HOST}:{master.port} as master, which says it is a slave"
    for call in (wire.call("RPUSH", "q", "b"), line.call(("BLPOP", "empty", "1"), 1.0)):
        with pytest.raises(NotSentError, match=sentence):
            await call
    await line.close()
    await wire.close()


async def test_documented_users_are_enough_behind_sentinels(sentinels: Sentinels) -> None:
    for server in sentinels.servers:
        acl.make_users(server.client, "q", place="sentinels")
    for watcher in sentinels.watchers:
        acl.make_finder(watcher.client)
    credentials = f"sentinel_username={acl.FINDER}&sentinel_password={acl.PASSWORD}"
    url = sentinels.url.replace("://", f"://asyncq-worker:{acl.PASSWORD}@") + f"/0?{credentials}"
    async with numbered(url) as work:
        await work.push(10)
        await until(lambda: len(work.ran) == 10)
        sync = SyncProducer(ConnectionSettings(url))
        sync.push("q", message(10))
        sync.close()
        await until(lambda: len(work.ran) == 11)
    assert [node.client.acl_log() for node in (*sentinels.servers, *sentinels.watchers)] == [[]] * 5
    with pytest.raises(BrokerRefusedError, match="invalid username-password pair") as caught:
        await AsyncWire(ConnectionSettings(url.removesuffix(acl.PASSWORD) + "wrong"), "role").call("PING")
    assert acl.PASSWORD not in str(caught.value)


async def test_it_is_said_when_no_sentinel_answers_or_knows_the_service(sentinels: Sentinels) -> None:
    known = AsyncWire(ConnectionSettings(sentinels.url), "role")
    unknown = AsyncWire(ConnectionSettings(sentinels.url.replace("mymaster", "other")), "role")
    with pytest.raises(BrokerRefusedError, match="no sentinel knows a service 'other'"):
        await unknown.call("PING")
    for watcher in sentinels.watchers[:2]:
        watcher.kill()
    assert await known.call("PING") == b"PONG"
    await known.close()
    sentinels.watchers[2].kill()
    with pytest.raises(NotSentError, match="none of its sentinels answers"):
        await known.call("PING")
    await known.close()
    await unknown.close()
