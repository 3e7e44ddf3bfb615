"""What keeps messages where they belong while nothing happens, on a real Redis: renewals, late arrivals."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.keys import queue_keys
from asyncq.broker.redis_broker import RedisBroker
from asyncq.core.contact import Contact
from asyncq.core.doors import Batch
from asyncq.core.nulls import NullObserver
from asyncq.core.registry import Registry
from asyncq.maintenance import reaper as reaper_module
from asyncq.maintenance.keeper import Keeper, Maintenance
from asyncq.worker.worker import Worker, WorkerSettings
from tests.support.proxy import FaultyProxy
from tests.support.states import until

KEYS = queue_keys("q")
HELD = json.dumps({"id": "m", "name": "hold", "payload": {}, "timestamp": 1.0}).encode()


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    made = RedisBroker(ConnectionSettings(redis_url))
    yield made
    await made.close()


class Bench:
    """One worker with a handler that runs until the gate opens."""

    def __init__(self, broker: RedisBroker, **more: Any) -> None:
        self.gate, self.runs = asyncio.Event(), 0
        registry = Registry()
        registry.task("hold")(self.hold)
        settings = WorkerSettings(queues=["q"], consumers=2, **more)
        self.worker = Worker(broker, registry, settings, observer=NullObserver(), rng=Random(1))

    async def hold(self, payload: object) -> None:
        self.runs += 1
        await self.gate.wait()


@asynccontextmanager
async def working(bench: Bench) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.ensure_future(bench.worker.run())
    try:
        yield task
    finally:
        bench.worker.cancel()
        async with asyncio.timeout(10):
            await task


def wid_of(raw_redis: redis.Redis) -> str:
    """Of the only incarnation, once there is one."""
    return next((wid.decode() for wid in raw_redis.zrange(KEYS.workers, 0, -1)), "")


async def test_a_worker_prolongs_its_lease_although_nobody_else_does(
    raw_redis: redis.Redis, broker: RedisBroker
) -> None:
    async with working(Bench(broker, renew_s=0.02)):
        lease = KEYS.lease(await until(lambda: wid_of(raw_redis)))
        for _ in range(3):
            raw_redis.pexpire(lease, 5_000)
            await until(lambda: raw_redis.pttl(lease) > 14_000)


async def test_the_keeper_prolongs_the_lease_of_a_worker_that_cannot(
    raw_redis: redis.Redis, broker: RedisBroker
) -> None:
    registration = await broker.register("q", broker.incarnation())
    lease, contact = KEYS.lease(registration.wid), Contact(Random(1))
    keeper = Keeper(broker, Maintenance(broker, NullObserver(), contact), NullObserver(), print, 0.02, contact)
    keeper.order({"type": "live", "incarnations": [(registration.wid, ["q"])]})
    running = asyncio.ensure_future(keeper.run())
    try:
        for _ in range(3):
            raw_redis.pexpire(lease, 5_000)
            await until(lambda: raw_redis.pttl(lease) > 14_000)
    finally:
        running.cancel()
        await asyncio.wait([running])
        await registration.close()


async def test_what_lands_behind_a_reap_is_handed_back_by_the_reaper(
    raw_redis: redis.Redis, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for constant in ("TOMBSTONE_S", "SAMPLES", "SAMPLE_S"):
        monkeypatch.setattr(reaper_module, constant, 0.01)
    registration = await broker.register("q", broker.incarnation())
    raw_redis.rpush("q", "a")
    await registration.exchange(Batch(), 1, 0)
    await broker.reap("q", registration.wid, forced=True)
    raw_redis.lmove("q", KEYS.inbox(registration.wid), "LEFT", "RIGHT")  # a move that was blocked on a dead connection
    reaper = reaper_module.Reaper(broker, "q", NullObserver(), Contact(Random(1)))
    running = asyncio.ensure_future(reaper.run())
    try:
        await until(lambda: raw_redis.lrange("q", 0, -1) == [b"a"])
    finally:
        running.cancel()
        await asyncio.wait([running])
        await registration.close()
    assert raw_redis.exists(KEYS.inbox(registration.wid)) == 0


async def test_outcomes_are_written_when_the_exchange_that_carried_them_was_cancelled(
    raw_redis: redis.Redis, redis_socket: str
) -> None:
    async with FaultyProxy(redis_socket) as proxy:
        broker = RedisBroker(ConnectionSettings(proxy.url))
        bench = Bench(broker, renew_s=60.0)
        try:
            async with working(bench) as task:
                raw_redis.rpush("q", HELD)
                await until(lambda: bench.runs == 1)
                proxy.swallow_request = b"HDEL"
                bench.gate.set()
                await until(lambda: not proxy.swallow_request)
                bench.worker.cancel()
                async with asyncio.timeout(4):  # before the lost exchange has had its time
                    await task
        finally:
            await broker.close()
    assert bench.runs == 1
    assert raw_redis.keys() == []


async def test_outcomes_are_written_when_the_exchange_that_carried_them_failed(
    raw_redis: redis.Redis, redis_socket: str
) -> None:
    async with FaultyProxy(redis_socket) as proxy:
        broker = RedisBroker(ConnectionSettings(proxy.url))
        bench = Bench(broker, renew_s=60.0)
        try:
            async with working(bench):
                raw_redis.rpush("q", HELD)
                await until(lambda: bench.runs == 1)
                inflight = KEYS.inflight(wid_of(raw_redis))
                proxy.hold_request = b"HDEL"
                bench.gate.set()
                await until(lambda: not proxy.hold_request)
                await until(lambda: not raw_redis.exists(inflight), timeout_s=2.5)
        finally:
            await broker.close()
    assert bench.runs == 1
    assert raw_redis.keys() == []
