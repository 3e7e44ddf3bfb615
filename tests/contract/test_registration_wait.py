"""The doorbell, the lease, and leaving."""

import asyncio
from dataclasses import replace

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.failures import ReplyLostError
from asyncq.broker.keys import queue_keys
from asyncq.broker.redis_broker import RedisBroker
from asyncq.core.doors import Batch, Reaped
from asyncq.core.errors import BrokerUnavailableError
from tests.contract.conftest import Register
from tests.support.lua import keyspace
from tests.support.proxy import FaultyProxy
from tests.support.states import until

KEYS = queue_keys("q")
NOTHING = Batch()


def waiting_clients(client: redis.Redis, name: str) -> int:
    return sum(row["name"] == name and "b" in row["flags"] for row in client.client_list())


async def test_bell_rings_and_the_message_lies_in_the_inbox_when_one_is_pushed(
    raw_redis: redis.Redis, register: Register
) -> None:
    registration = await register()
    bell = asyncio.ensure_future(registration.wait(5.0))
    await until(lambda: waiting_clients(raw_redis, f"asyncq:{registration.wid}") == 1)
    raw_redis.rpush("q", "a", "b")
    assert await bell is True
    assert raw_redis.lrange(KEYS.inbox(registration.wid), 0, -1) == [b"a"]
    assert list((await registration.exchange(NOTHING, 5, 0)).raws) == [b"a", b"b"]


async def test_bell_is_silent_when_nothing_comes(raw_redis: redis.Redis, register: Register) -> None:
    assert await (await register()).wait(0.02) is False


async def test_wait_ends_at_once_when_it_may_last_no_time(register: Register) -> None:
    assert await asyncio.wait_for((await register()).wait(0.0), 2.0) is False


async def test_wait_ends_at_once_when_the_incarnation_was_reaped(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register
) -> None:
    registration = await register()
    await broker.reap("q", registration.wid, forced=True)
    with pytest.raises(LookupError):
        await registration.exchange(NOTHING, 1, 0)
    raw_redis.rpush("q", "a")
    assert await registration.wait(0.02) is True
    assert raw_redis.lrange("q", 0, -1) == [b"a"]  # nothing is moved to an inbox that nobody reads


async def test_wait_ends_at_once_when_redis_records_more_than_is_held(
    raw_redis: redis.Redis, register: Register
) -> None:
    registration = await register()
    # What a snapshot brings back, or a take that is carried out late: nobody pushes anything that would end the wait.
    raw_redis.hset(KEYS.inflight(registration.wid), "1", "a")
    await registration.renew()
    exchanges = 0
    while await registration.wait(0.02):
        exchanges += 1
        await registration.exchange(NOTHING, 1, 0)
    assert exchanges == 2
    assert raw_redis.exists(KEYS.inflight(registration.wid)) == 0


async def test_wait_ends_at_once_when_the_reply_to_a_take_was_lost(
    raw_redis: redis.Redis, proxy: FaultyProxy, far_broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush("q", "a")
    registration = await register(through=far_broker)
    proxy.lose_reply_to = b"EVALSHA"
    with pytest.raises(ReplyLostError):
        await registration.exchange(NOTHING, 1, 0)
    assert await registration.wait(0.02) is True
    assert list((await registration.exchange(NOTHING, 1, 0)).raws) == [b"a"]


async def test_wait_may_last_longer_than_a_reply(settings: ConnectionSettings, register: Register) -> None:
    broker = RedisBroker(replace(settings, reply_timeout_s=0.3))
    registration = await register(through=broker)
    assert await registration.wait(0.4) is False
    await broker.close()


async def test_wait_ends_and_loses_nothing_when_woken(raw_redis: redis.Redis, register: Register) -> None:
    registration = await register()
    for _ in range(3):
        bell = asyncio.ensure_future(registration.wait(30.0))
        await until(lambda: waiting_clients(raw_redis, f"asyncq:{registration.wid}") == 1)
        await registration.wake()
        assert await asyncio.wait_for(bell, 2.0) is False
    raw_redis.rpush("q", "a")
    assert await registration.wait(5.0) is True


async def test_wait_ends_when_it_is_woken_before_it_has_blocked(raw_redis: redis.Redis, register: Register) -> None:
    registration = await register()
    for turns in range(12):
        bell = asyncio.ensure_future(registration.wait(30.0))
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns == 0:
            await registration.wake()  # nobody waits yet: harmless, and not remembered
            await until(lambda: waiting_clients(raw_redis, f"asyncq:{registration.wid}") == 1)
        await registration.wake()
        assert await asyncio.wait_for(bell, 2.0) is False


async def test_redis_is_asked_ever_more_rarely_when_the_request_to_block_never_arrives(
    raw_redis: redis.Redis, proxy: FaultyProxy, register: Register
) -> None:
    broker = RedisBroker(ConnectionSettings(proxy.url, reply_timeout_s=0.6))
    registration = await register(through=broker)
    proxy.swallow_request = b"BLMOVE"
    bell = asyncio.ensure_future(registration.wait(0.001))
    await until(lambda: not proxy.swallow_request)
    raw_redis.config_resetstat()
    await registration.wake()
    with pytest.raises(BrokerUnavailableError, match="no answer in time"):
        await bell
    # In 0.6 s: after 2, 4, 8, ... 64 ms, then every 100 ms.
    assert 1 <= raw_redis.info("commandstats")["cmdstat_client|unblock"]["calls"] < 20
    await broker.close()


async def test_wake_is_harmless_when_nobody_waits(raw_redis: redis.Redis, register: Register) -> None:
    registration = await register()
    await registration.wake()
    assert await registration.wait(0.02) is False


@pytest.mark.parametrize("turns", range(12))
async def test_close_takes_the_connection_along_however_far_the_wait_has_come(
    raw_redis: redis.Redis, register: Register, turns: int
) -> None:
    registration = await register()
    bell = asyncio.ensure_future(registration.wait(30.0))
    for _ in range(turns):
        await asyncio.sleep(0)
    await registration.close()
    with pytest.raises(BrokerUnavailableError):
        await asyncio.wait_for(bell, 2.0)
    name = f"asyncq:{registration.wid}"
    await until(lambda: not [row for row in raw_redis.client_list() if row["name"] == name])


async def test_wait_fails_after_close(raw_redis: redis.Redis, register: Register) -> None:
    registration = await register()
    await registration.close()
    with pytest.raises(BrokerUnavailableError, match="closed by this process"):
        await registration.wait(30.0)


async def test_inbox_goes_back_when_the_worker_is_full(raw_redis: redis.Redis, register: Register) -> None:
    registration = await register()
    raw_redis.rpush("q", "a", "b")
    assert await registration.wait(5.0) is True
    assert list((await registration.exchange(NOTHING, 0, 0)).raws) == []
    assert raw_redis.lrange("q", 0, -1) == [b"a", b"b"]


async def test_lease_is_prolonged_when_renewed(raw_redis: redis.Redis, register: Register) -> None:
    registration = await register()
    raw_redis.pexpire(KEYS.lease(registration.wid), 3000)
    assert await registration.renew() is True
    assert raw_redis.pttl(KEYS.lease(registration.wid)) > 14_000


async def test_lease_is_revived_when_it_expired_and_nobody_reaped(raw_redis: redis.Redis, register: Register) -> None:
    registration = await register()
    raw_redis.delete(KEYS.lease(registration.wid))
    assert await registration.renew() is True
    assert raw_redis.pttl(KEYS.lease(registration.wid)) > 14_000


async def test_only_the_queue_remains_when_a_worker_withdraws(raw_redis: redis.Redis, register: Register) -> None:
    raw_redis.rpush("q", "a", "b", "c", "d")
    registration = await register()
    taken = await registration.exchange(NOTHING, 3, 0)
    await registration.wait(5.0)
    await registration.exchange(Batch(completed=[taken.tokens[1]]), 0, 0)
    await registration.wait(5.0)
    assert await registration.withdraw() == 3
    assert keyspace(raw_redis) == {"q": [b"a", b"c", b"d"]}
    with pytest.raises(LookupError):
        await registration.exchange(NOTHING, 1, 0)
    assert await registration.wait(30.0) is True  # at once: the next exchange says that it is over


async def test_tombstone_catches_what_lands_later_when_a_wait_was_cut_off(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register
) -> None:
    registration = await register()
    bell = asyncio.ensure_future(registration.wait(5.0))
    await until(lambda: waiting_clients(raw_redis, f"asyncq:{registration.wid}") == 1)
    bell.cancel()
    await asyncio.wait([bell])
    await registration.withdraw()
    raw_redis.rpush(KEYS.inbox(registration.wid), "ghost")  # a connection that Redis still believed in
    assert [row.wid for row in await broker.registered("q")] == [registration.wid]
    assert await broker.reap("q", registration.wid, forced=False) == Reaped(1)
    assert raw_redis.lrange("q", 0, -1) == [b"ghost"]


async def test_tombstone_catches_what_lands_later_when_it_left_in_the_middle_of_a_wait(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register
) -> None:
    registration = await register()
    bell = asyncio.ensure_future(registration.wait(5.0))
    await until(lambda: waiting_clients(raw_redis, f"asyncq:{registration.wid}") == 1)
    await registration.withdraw()
    raw_redis.rpush("q", "a")
    assert await bell is True
    assert await broker.reap("q", registration.wid, forced=False) == Reaped(1)
    assert raw_redis.lrange("q", 0, -1) == [b"a"]
