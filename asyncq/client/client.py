"""Client: enqueues from asyncio, in whatever event loop it is used.

Made by applications; `default_client` is the one behind `Task.enqueue` and `asyncq.simple`. Never sends a plain push
twice: see the errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from asyncq.broker.producer import Producer
from asyncq.client.home import target
from asyncq.client.packing import pack
from asyncq.client.per_loop import PerLoop
from asyncq.core.envelope import Envelope, Handle


@dataclass(frozen=True, slots=True)
class _Open:
    """What one event loop has."""

    producer: Producer
    limit_bytes: int

    async def close(self) -> None:
        await self.producer.close()


class Client:
    """Enqueues messages in one Redis.

    Works from many event loops in turn and after a fork: each loop has connections of its own, closed with it.

    Args:
        redis_url: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://; None finds Redis as the
            command line does: ASYNCQ_REDIS_URL, REDIS_URL, settings files, localhost:6379, or the embedded server of
            the current folder.
        max_message_bytes: Refuse anything larger; default the setting's, 1 MiB when a URL is given.

    Raises:
        ConfigurationError: the URL is no Redis URL, or the limit no number of bytes.
    """

    def __init__(self, redis_url: str | None = None, max_message_bytes: int | None = None) -> None:
        self._target = target(redis_url, max_message_bytes)
        self._per_loop = PerLoop(self._opened, _Open.close)

    async def enqueue(self, envelope: Envelope) -> Handle:
        """Enqueue one message, for example `task.envelope(payload)`.

        Cost: 1 RPUSH; 1 script if it waits or is retry-safe.

        Raises:
            BrokerUnavailableError, BrokerRefusedError: surely not enqueued.
            OutcomeUnknownError: sent, and the reply was lost. A retry-safe one may be sent again as it is.
            MessageTooLargeError, ConfigurationError: refused before it was sent.
        """
        return (await self.enqueue_many((envelope,)))[0]

    async def enqueue_many(self, envelopes: Iterable[Envelope]) -> list[Handle]:
        """Enqueue many messages, of one task or of several, in order; each thousand of a queue whole or not at all.

        Cost: 1 RPUSH and round trip per thousand and queue, 1 script where messages wait or are retry-safe. Raises as
        `enqueue`; OutcomeUnknownError also when only the first were accepted, its text says how many. Nothing is sent
        if one of them is refused.
        """
        whole = list(envelopes)
        mine = await self._per_loop.current()
        await mine.producer.send(pack(whole, mine.limit_bytes))
        return [envelope.handle for envelope in whole]

    async def close(self) -> None:
        """Close the connections of the running event loop. No Redis call."""
        await self._per_loop.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _opened(self) -> _Open:
        connection, limit_bytes = await self._target.find()
        return _Open(Producer(connection), limit_bytes)


default_client: Final = Client()
