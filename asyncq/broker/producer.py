"""Producers: messages into queues, for asyncio and (through `redis_sync`) for code without a loop.

Called by the client room and `asyncq enqueue` with bytes that are already encoded. A push is one plain RPUSH, the same
that any program in any language may do. Never sends anything twice: when the reply is lost, the caller is told that the
outcome is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.failures import ReplyLostError
from asyncq.broker.keys import queue_keys
from asyncq.broker.scripts import Command
from asyncq.broker.wire import DEFAULT_CONNECTIONS, AsyncWire
from asyncq.core.errors import BrokerError, OutcomeUnknownError

PUSH_CHUNK: Final = 1000


def push_commands(queue: str, raws: Sequence[bytes]) -> Iterator[Command]:
    """One RPUSH per thousand messages."""
    ready = queue_keys(queue).ready
    for start in range(0, len(raws), PUSH_CHUNK):
        yield ("RPUSH", ready, *raws[start : start + PUSH_CHUNK])


def push_error(error: BrokerError, queue: str, pushed: int, total: int) -> BrokerError:
    """What a producer is told when a push failed after `pushed` of `total` messages were accepted.

    Only if nothing was accepted and nothing can be under way is the error passed on: then pushing again is safe.
    """
    if isinstance(error, ReplyLostError):
        return OutcomeUnknownError(
            f"queue {queue!r}: {pushed} of {total} messages were accepted, the fate of the next "
            f"{min(PUSH_CHUNK, total - pushed)} is unknown: {error}; pushing them again may run them twice"
        )
    if pushed:
        return OutcomeUnknownError(
            f"queue {queue!r}: only the first {pushed} of {total} messages were accepted: {error}; push the rest again"
        )
    return error


class Producer:
    """Pushes from one event loop.

    Args:
        settings: Where Redis is.
        connections: At most this many at once.
    """

    def __init__(self, settings: ConnectionSettings, connections: int = DEFAULT_CONNECTIONS) -> None:
        self._wire = AsyncWire(settings, "producer", connections)

    async def push(self, queue: str, raw: bytes) -> None:
        """Put one message at the tail of the queue. Cost: 1 RPUSH.

        Raises:
            BrokerUnavailableError, BrokerRefusedError: surely not pushed.
            OutcomeUnknownError: written, reply lost.
            ConfigurationError: the queue's name is not legal.
        """
        await self.push_many(queue, (raw,))

    async def push_many(self, queue: str, raws: Sequence[bytes]) -> None:
        """Put many messages at the tail of the queue, in order. Cost: 1 RPUSH and round trip per thousand.

        Raises as `push`; OutcomeUnknownError also when only a part was accepted, its text says how many.
        """
        for done, command in enumerate(push_commands(queue, raws)):
            try:
                await self._wire.call(*command)
            except BrokerError as error:
                raise push_error(error, queue, done * PUSH_CHUNK, len(raws)) from error

    async def close(self) -> None:
        """Close the connections. No Redis call."""
        await self._wire.close()
