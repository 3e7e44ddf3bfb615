"""Leaving: the lanes of a feeder are given up in order: their waits ended, what is left written, withdrawn.

Called by the feeder at the end of a drain. Every lane for itself: trouble with one keeps no other back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from asyncq.core.doors import Batch
from asyncq.core.errors import BrokerError, RegistrationLostError
from asyncq.worker.lane import Lane

T = TypeVar("T")

HUSH_S: Final = 0.5


async def hush(lanes: Sequence[Lane]) -> None:
    """End the waits on the server; one that cannot be ended within `HUSH_S` is left to `leave`.

    Raises:
        BrokerError: Redis is away or refuses; then the waits end by themselves.
    """
    await _all_of([_hush(lane) for lane in lanes])


async def leave(lanes: Sequence[Lane], on_left: Callable[[Lane, int], None]) -> int:
    """Write what is left, end the waits, withdraw every registration. May be repeated with the lanes that are left.

    Args:
        lanes: Not changed here.
        on_left: Called with each lane that is given up, and how many of its last settlements came too late.

    Returns: how many messages went back.

    Raises:
        BrokerError: Redis is away or refuses; what this process held is handed back by a reap.
    """
    return sum(await _all_of([_leave(lane, on_left) for lane in lanes]))


async def _hush(lane: Lane) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HUSH_S):
            await lane.bell.hush()


async def _leave(lane: Lane, on_left: Callable[[Lane, int], None]) -> int:
    returned = late = 0
    try:
        async with lane.lock:
            if len(lane.batch):
                await lane.registration.exchange(lane.batch, 0, 0)  # first: it must not wait for a wait
                lane.batch = Batch()
            with contextlib.suppress(BrokerError):  # a wait that goes on makes `withdraw` leave a tombstone
                await _hush(lane)  # a worker that was cancelled comes here without `hush`
            returned = await lane.registration.withdraw()
    except RegistrationLostError as error:
        late = error.late
    await lane.bell.close()
    on_left(lane, late)
    return returned


async def _all_of(doing: list[Coroutine[Any, Any, T]]) -> list[T]:
    """Everything to its end side by side, then the first error if there was one."""
    results = await asyncio.gather(*doing, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results  # type: ignore[return-value] # no exception among them
