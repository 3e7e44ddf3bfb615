"""Client: enqueues messages from one event loop.

Made by applications, or by `asyncq.simple` for those who only name a queue. Never retries a push: see the errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.producer import Producer
from asyncq.core import codec


class Client:
    """Pushes messages to one Redis.

    Args:
        redis_url: redis://, rediss:// or unix://.
        max_message_bytes: Refuse anything larger; default 1 MiB.
    """

    def __init__(self, redis_url: str, max_message_bytes: int = codec.MAX_MESSAGE_BYTES) -> None:
        self._producer = Producer(ConnectionSettings(redis_url))
        self._limit_bytes = max_message_bytes

    async def enqueue(self, queue: str, task: Mapping[str, Any]) -> None:
        """Put one message (see `create_task`) at the tail of a queue. Cost: 1 RPUSH.

        Raises:
            BrokerUnavailableError, BrokerRefusedError: surely not enqueued.
            OutcomeUnknownError: sent, and the reply was lost.
            MessageTooLargeError, ConfigurationError: refused before it was sent.
        """
        await self._producer.push(queue, codec.encode(task, self._limit_bytes))

    async def enqueue_many(self, queue: str, tasks: Iterable[Mapping[str, Any]]) -> None:
        """Put many messages at the tail of a queue, in order; each thousand is enqueued as a whole or not at all.

        Cost: 1 RPUSH per thousand. Raises as `enqueue`; OutcomeUnknownError also when only the first were accepted.
        """
        await self._producer.push_many(queue, [codec.encode(task, self._limit_bytes) for task in tasks])

    async def close(self) -> None:
        """Close the connections."""
        await self._producer.close()
