"""The synchronous twin of the producer, for code without an event loop.

Called by SyncClient, `asyncq enqueue` and the benchmarks. Shares every command and every error with the asyncio side;
only the waiting differs. Safe to use from several threads; after a fork the child opens connections of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.pushes import Chunk, Push, Tries, chunks, push_error
from asyncq.broker.wires import sync_wire
from asyncq.core.errors import BrokerError


class SyncProducer:
    """Pushes from threads; the promises, errors and costs of `producer.Producer`."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._wire = sync_wire(settings, "producer")
        self._rng = Random()

    def push(self, queue: str, raw: bytes) -> None:
        """Put one message at the tail of the queue. Cost: 1 RPUSH."""
        self.send((Push(queue, (raw,)),))

    def push_many(self, queue: str, raws: Sequence[bytes]) -> None:
        """Put many messages at the tail of the queue, in order. Cost: 1 RPUSH per thousand."""
        self.send((Push(queue, raws),))

    def send(self, pushes: Sequence[Push]) -> None:
        """Enqueue all messages of all pushes, one push after the other; see `Producer.send`."""
        total, done = sum(len(push.raws) for push in pushes), 0
        for chunk in [chunk for push in pushes for chunk in chunks(push)]:
            self._send(chunk, done, total)
            done += chunk.count

    def _send(self, chunk: Chunk, done: int, total: int) -> None:
        tries = None
        while True:
            try:
                self._wire.call(*chunk.command)
                return
            except BrokerError as error:
                tries = tries or Tries(chunk, self._rng)
                pause_s = tries.pause_s(error)
                if pause_s is None:
                    raise push_error(tries.told(error), chunk, done, total) from error
            time.sleep(pause_s)

    def close(self) -> None:
        """Close the connections. No Redis call."""
        self._wire.close()
