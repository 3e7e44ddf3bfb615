"""Producer: messages into queues, for asyncio; `redis_sync` has its twin for code without a loop.

Called by the client room with bytes that are already encoded. A plain push is one RPUSH, the same that any program in
any language may do, and is never sent twice: when its reply is lost, the caller is told that the outcome is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.pushes import Chunk, Push, Tries, chunks, push_error
from asyncq.broker.wire import DEFAULT_CONNECTIONS
from asyncq.broker.wires import async_wire
from asyncq.core.errors import BrokerError


class Producer:
    """Pushes from one event loop.

    Args:
        settings: Where Redis is.
        connections: At most this many at once to each server.
    """

    def __init__(self, settings: ConnectionSettings, connections: int = DEFAULT_CONNECTIONS) -> None:
        self._wire = async_wire(settings, "producer", connections)
        self._rng = Random()

    async def push(self, queue: str, raw: bytes) -> None:
        """Put one message at the tail of the queue. Cost: 1 RPUSH. Raises as `send`."""
        await self.send((Push(queue, (raw,)),))

    async def push_many(self, queue: str, raws: Sequence[bytes]) -> None:
        """Put many messages at the tail of the queue, in order. Cost: 1 RPUSH per thousand. Raises as `send`."""
        await self.send((Push(queue, raws),))

    async def send(self, pushes: Sequence[Push]) -> None:
        """Enqueue all messages of all pushes, one push after the other.

        Cost: 1 RPUSH, or 1 script where messages wait or are guarded, and 1 round trip per thousand messages.

        Raises:
            BrokerUnavailableError, BrokerRefusedError: surely nothing was enqueued.
            OutcomeUnknownError: sent, and the reply was lost (of a guarded one three times); also when only a part was
                accepted. Its text says how many.
            ConfigurationError: a queue's name is not legal.
        """
        total, done = sum(len(push.raws) for push in pushes), 0
        for chunk in [chunk for push in pushes for chunk in chunks(push)]:
            await self._send(chunk, done, total)
            done += chunk.count

    async def _send(self, chunk: Chunk, done: int, total: int) -> None:
        tries = None
        while True:
            try:
                await self._wire.call(*chunk.command)
                return
            except BrokerError as error:
                tries = tries or Tries(chunk, self._rng)
                pause_s = tries.pause_s(error)
                if pause_s is None:
                    raise push_error(tries.told(error), chunk, done, total) from error
            await asyncio.sleep(pause_s)

    async def close(self) -> None:
        """Close the connections. No Redis call."""
        await self._wire.close()
