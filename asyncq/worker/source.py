"""Source: where consumers get messages from and hand settlements to; one class per delivery mode implements it.

`worker.feeder` is the at-least-once one, `worker.popping` the at-most-once one. Written for the hot path: `ready` is
a plain deque that consumers pop from without a call, and a completed message is one list append.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from asyncq.core.settlement import Settlement


class Origin(Protocol):
    """Where a message came from; carried beside it until it is settled.

    Attributes:
        queue: Its queue.
        wid: The incarnation that holds it; empty when it exists only in this process.
    """

    queue: str
    wid: str


Delivery = tuple[Origin, int, bytes]


class Source(Protocol):
    """What consumers see, and below it what the worker needs for start and drain.

    Attributes:
        ready: Taken and not started.
        outstanding: Taken and not ended.
        settled: Ended since the start.
    """

    ready: deque[Delivery]
    outstanding: int
    settled: int

    async def next(self, index: int) -> Delivery:
        """A message for consumer number `index`; waits when there is none."""

    def complete(self, origin: Origin, token: int) -> None:
        """The message is done."""

    def settle(self, origin: Origin, token: int, raw: bytes, settlement: Settlement) -> None:
        """Something else becomes of the message."""

    async def run(self) -> None:
        """Move messages and settlements until cancelled."""

    def stop_taking(self) -> None:
        """From now on nothing new is taken, and what was not started goes back to the head of its queue."""

    def resume(self) -> None:
        """Take again."""

    async def hush(self) -> None:
        """End every wait on the server and see to what it brings, so that nothing that arrives later is lost.

        Gives up when taking is resumed meanwhile.

        Raises:
            BrokerError: Redis is away or refuses.
        """

    async def leave(self) -> int:
        """Write what is left and leave; returns how many messages went back. After `run` ended; may be repeated.

        Raises:
            BrokerError: Redis is away or refuses; what could be written was.
        """

    async def close(self) -> None:
        """Close the connections, also when leaving failed. No Redis call."""

    def grow(self, count: int) -> None:
        """There are `count` consumers more."""
