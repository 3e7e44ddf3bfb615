"""At most once on a real server: a drain under load loses nothing, and what goes back keeps its order."""

import asyncio

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.redis_broker import RedisBroker
from asyncq.core.codec import decode, encode
from asyncq.core.registry import Registry
from asyncq.worker.worker import Worker, WorkerSettings
from tests.support.states import until

MESSAGES = 3000


@pytest.mark.parametrize("nap_s", [0.0, 0.002])
async def test_every_message_was_run_or_is_still_there_in_its_order(
    redis_url: str, raw_redis: redis.Redis, nap_s: float
) -> None:
    registry, ran = Registry(), []

    @registry.task("nap")
    async def nap(payload: int) -> None:
        await asyncio.sleep(nap_s)  # sleeps: the handler takes that long
        ran.append(payload)

    for drain_after in (1, 100, 500):
        ran.clear()
        raw_redis.delete("q")
        raw_redis.rpush("q", *(encode(fields(number)) for number in range(MESSAGES)))
        broker = RedisBroker(ConnectionSettings(redis_url))
        worker = Worker(broker, registry, WorkerSettings(queues=["q"], consumers=20, at_most_once=True))
        running = asyncio.ensure_future(worker.run())
        await until(lambda count=drain_after: len(ran) >= count)
        worker.drain()
        async with asyncio.timeout(10):
            await running
        await broker.close()
        left = [decode(raw).payload for raw in raw_redis.lrange("q", 0, -1)]

        assert list(range(MESSAGES)) == sorted(ran) + left


def fields(number: int) -> dict[str, object]:
    return {"id": str(number), "name": "nap", "payload": number, "timestamp": 1.5}
