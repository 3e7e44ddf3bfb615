"""Turns: lets consumers run handler after handler without the event loop, but never for long.

A handler that does not suspend costs no turn of the loop; that is where the throughput comes from. So that sockets,
timers and signals are still served, all consumers together give way after `BUDGET_S` of one turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

BUDGET_S: Final = 0.005


class Turns:
    """The budget of the current turn, shared by all consumers of one loop.

    Args:
        loop: The consumers'.
        beat: Called whenever a consumer's share of a turn is over: a process whose handlers block for a second each,
            dozens of them in one turn, is slow, and does not hang.

    Attributes:
        ends_at: `time.perf_counter()` value after which a consumer must call `give_way`.
    """

    __slots__ = ("_asked", "_beat", "_loop", "ends_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, beat: Callable[[], None]) -> None:
        self._loop, self._beat = loop, beat
        self._asked = False
        self.ends_at = 0.0

    async def give_way(self) -> None:
        """Let the loop turn once. The first consumer of the next turn finds a fresh budget, shared by all."""
        self._beat()
        if not self._asked:
            self._asked = True
            self._loop.call_soon(self._begin)  # runs before every consumer that gives way after us
        await asyncio.sleep(0)

    def _begin(self) -> None:
        self._asked = False
        self.ends_at = time.perf_counter() + BUDGET_S
