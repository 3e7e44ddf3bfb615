"""A real worker that runs numbered messages, and what it has run.

Used by the tests of what happens to Redis under a worker: nothing may be lost, and the worker goes on.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.producer import Producer
from asyncq.broker.pushes import Push
from asyncq.broker.redis_broker import RedisBroker
from asyncq.core.codec import encode
from asyncq.core.errors import BrokerUnavailableError, OutcomeUnknownError
from asyncq.core.registry import Registry
from asyncq.worker.worker import Worker, WorkerSettings


def message(number: int) -> bytes:
    return encode({"id": str(number), "name": "number", "payload": number, "timestamp": 1.5})


class Numbered:
    """What a worker does with numbers.

    Attributes:
        url: Where its Redis is.
        ran: The numbers its handler was called with, in order.
        pushed: How many were pushed: 0, 1, 2, ...
        running: The worker; ends when it is drained, or dies.
    """

    def __init__(self, url: str, queue: str) -> None:
        self.url, self.queue = url, queue
        self.ran: list[int] = []
        self.pushed = 0
        settings = ConnectionSettings(url, connect_timeout_s=2.0, reply_timeout_s=2.0)
        self.broker, self.producer = RedisBroker(settings), Producer(settings)
        registry = Registry()
        registry.task("number")(self._handle)
        self.worker = Worker(self.broker, registry, WorkerSettings(queues=[queue], consumers=10, renew_s=0.5))
        self.running = asyncio.ensure_future(self.worker.run())

    async def _handle(self, payload: int) -> None:
        await asyncio.sleep(0.001)  # sleeps: the handler takes that long
        self.ran.append(payload)

    async def push(self, count: int = 1, *, guarded: bool = False) -> None:
        """The next numbers; each once, whatever becomes of Redis meanwhile.

        Args:
            guarded: With an id for each, so that they may be pushed again when it is not known what became of them.
                Without it the test fails then.
        """
        numbers = range(self.pushed, self.pushed + count)
        self.pushed += count
        ids = [f"n{k}" for k in numbers] if guarded else []
        push = Push(self.queue, [message(k) for k in numbers], ids=ids)
        again = (BrokerUnavailableError, OutcomeUnknownError) if guarded else BrokerUnavailableError
        while True:
            try:
                await self.producer.send([push])
                return
            except again:
                await asyncio.sleep(0.01)  # sleeps: until Redis is back

    async def close(self) -> None:
        self.worker.drain()
        async with asyncio.timeout(15):
            await self.running
        await self.broker.close()
        await self.producer.close()


@contextlib.asynccontextmanager
async def numbered(url: str, queue: str = "q") -> AsyncIterator[Numbered]:
    """A worker that runs until the end of the block."""
    made = Numbered(url, queue)
    try:
        yield made
    finally:
        await made.close()
