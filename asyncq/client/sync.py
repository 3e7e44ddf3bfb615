"""SyncClient: enqueues from code without an event loop: Flask and Django views, scripts, threads.

Made by applications. Commands, promises and errors are those of Client; only the waiting differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from asyncq.broker.redis_sync import SyncProducer
from asyncq.client.home import target
from asyncq.client.packing import pack
from asyncq.core.envelope import Envelope, Handle


class SyncClient:
    """Enqueues messages in one Redis. May be shared by threads, and used after a fork.

    Args:
        redis_url, max_message_bytes: As for Client.

    Raises:
        ConfigurationError: the URL is no Redis URL, or the limit no number of bytes.
    """

    def __init__(self, redis_url: str | None = None, max_message_bytes: int | None = None) -> None:
        self._target = target(redis_url, max_message_bytes)
        self._open: tuple[SyncProducer, int] | None = None

    def enqueue(self, envelope: Envelope) -> Handle:
        """Enqueue one message, for example `task.envelope(payload)`. Cost and errors as `Client.enqueue`."""
        return self.enqueue_many((envelope,))[0]

    def enqueue_many(self, envelopes: Iterable[Envelope]) -> list[Handle]:
        """Enqueue many messages, of one task or of several, in order. Cost and errors as `Client.enqueue_many`."""
        whole = list(envelopes)
        producer, limit_bytes = self._open or self._opened()
        producer.send(pack(whole, limit_bytes))
        return [envelope.handle for envelope in whole]

    def close(self) -> None:
        """Close the connections; the next use opens others. No Redis call."""
        opened, self._open = self._open, None
        if opened is not None:
            opened[0].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> tuple[SyncProducer, int]:
        connection, limit_bytes = self._target.look()
        if self._open is None:  # of threads that come first together the last one's stays; nothing is connected yet
            self._open = SyncProducer(connection), limit_bytes
        return self._open
