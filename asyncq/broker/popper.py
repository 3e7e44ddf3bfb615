"""RedisPopper: one at-most-once consumer, blocked in its own BLPOP while idle.

Made by RedisBroker.popper, one per consumer coroutine. What it popped exists nowhere else. Never retries: a second
BLPOP would hide that the first one's message is gone.
"""

from __future__ import annotations

from collections.abc import Sequence

from asyncq.broker.keys import queue_keys
from asyncq.broker.registration import SHORTEST_BLOCK_S
from asyncq.broker.wire_door import Line, Wire


class RedisPopper:
    """See core.doors.Popper for the promises.

    Args:
        queues: Earlier ones are served first.
        commands: For `pop_many` and `wake`; shared.
        line: For `pop`; owned.
    """

    def __init__(self, queues: Sequence[str], commands: Wire, line: Line) -> None:
        self._lists = tuple(queue_keys(queue).ready for queue in queues)
        self._commands = commands
        self._line = line

    async def pop(self, timeout_s: float) -> tuple[str, bytes] | None:
        """Block until a message arrives; see the door."""
        timeout_s = max(timeout_s, SHORTEST_BLOCK_S)
        reply = await self._line.call(("BLPOP", *self._lists, f"{timeout_s:.3f}"), timeout_s)
        return None if reply is None else (reply[0].decode(), reply[1])

    async def pop_many(self, queue: str, count: int) -> list[bytes]:
        """Up to `count` messages without waiting; see the door. None for a count below 1."""
        if count < 1:
            return []
        return await self._commands.call("LPOP", queue_keys(queue).ready, count) or []

    async def wake(self) -> None:
        """End a running `pop`; see the door."""
        await self._line.wake(self._commands)

    async def close(self) -> None:
        """Close the connection. No Redis call."""
        await self._line.close()
