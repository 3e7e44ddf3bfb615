"""What the rest of this room may know of Redis: a wire for commands that do not block, a line for one that does.

Implemented in wire.py (one server, or the master behind sentinels) and in cluster.py; made by wires.py. Who holds one
of them never knows which kind of Redis is behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from asyncq.broker.scripts import Command


class Wire(Protocol):
    """Commands out, replies back; a script that a server does not know is loaded; nothing is sent twice that may have
    been carried out. Belongs to one event loop."""

    async def call(self, *command: str | bytes | int) -> Any:
        """One command, one reply. Raises as `pipeline`."""

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """All commands in as few round trips as it takes, not as a transaction.

        Raises:
            BrokerUnavailableError, BrokerRefusedError: for the first reply that is an error; the others were carried
                out all the same.
            ReplyLostError: some of it was written, and not all replies came.
        """

    def line(self, client_name: str) -> Line:
        """A line to the same Redis. No Redis call."""

    async def close(self) -> None:
        """Close the connections; those in use follow when their call ends. No Redis call."""


class Line(Protocol):
    """One blocking call at a time, which `wake` can end early without losing its reply."""

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""

    async def call(self, command: Command, block_s: float) -> Any:
        """Send a command that Redis may answer up to `block_s` later; None at the time-out or when woken."""

    async def wake(self, commands: Wire) -> None:
        """End the running call; harmless when there is none. `commands` is the wire that made this line."""

    async def close(self) -> None:
        """Close the connection for good; a running call, and every later one, fails. No Redis call."""


class SyncWire(Protocol):
    """The same as Wire for threads, one command at a time."""

    def call(self, *command: str | bytes | int) -> Any:
        """One command, one reply. Raises as Wire.pipeline."""

    def close(self) -> None:
        """Close the connections. No Redis call."""
