"""The ticker: one timer for the whole process instead of one per message.

Ten times a second it times out attempts that are over their limit, beats, and tells the slot page its load.
A time limit is therefore kept with up to `TICK_S` of delay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from asyncq.core import clock
from asyncq.core.outcome import Kind
from asyncq.worker.running import Running

TICK_S: Final = 0.1


def overdue(runnings: Sequence[Running], now_mono: float) -> list[Running]:
    """The attempts whose time is over."""
    return [running for running in runnings if running.deadline_mono <= now_mono]


async def tick(runnings: Sequence[Running], beat: Callable[[], None]) -> None:
    """Run until cancelled.

    Args:
        runnings: One per consumer; the list may be filled later.
        beat: Called on each tick, from the loop itself: a loop that is stuck does not beat.
    """
    while True:
        beat()
        for running in overdue(runnings, clock.mono_s()):
            running.cancel(Kind.TIMED_OUT)
        await asyncio.sleep(TICK_S)
