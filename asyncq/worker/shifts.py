"""Shifts: the start and stop hooks of an app in an event loop that is not ours, shared by all its workers there.

Used by `asyncq.simple`, where one program may run several workers. A hook is promised that it is called once in a
process, not once for each queue: the first worker has the start hooks called, the last one to go the stop hooks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakKeyDictionary

from asyncq.core.errors import HookError
from asyncq.core.hooks import Hooks
from asyncq.worker import hooking


@asynccontextmanager
async def on_shift(hooks: Hooks) -> AsyncIterator[None]:
    """Inside, the start hooks have returned and no stop hook was called.

    Raises:
        HookError: a start hook failed.
    """
    shifts = _by_loop.setdefault(asyncio.get_running_loop(), {})
    while (shift := shifts.get(hooks)) is not None and shift.closing:
        await asyncio.wait([shift.task])  # its stop hooks may still use what our start hooks are about to replace
    if shift is None:
        shift = shifts[hooks] = _Shift(hooks, shifts)
    shift.workers += 1
    try:
        await shift.opened()
        yield
    finally:
        shift.workers -= 1
        if shift.workers == 0:
            await shift.close()


class _Shift:
    """From the first worker to the last.

    Attributes:
        workers: How many there are.
        closing: Nobody may join it any more.
        task: Calls all hooks, so that what one of them entered another one can leave.
    """

    def __init__(self, hooks: Hooks, shifts: dict[Hooks, _Shift]) -> None:
        self.workers = 0
        self.closing = False
        self._hooks, self._shifts = hooks, shifts
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._empty = asyncio.Event()
        self.task = loop.create_task(self._run(), name="hooks")

    async def opened(self) -> None:
        """The start hooks have returned. Raises what they raised."""
        await asyncio.wait([self._opened])
        self._opened.result()

    async def close(self) -> None:
        """The last worker has gone."""
        self.closing = True
        self._empty.set()
        if not self._opened.done():
            self.task.cancel()
        await asyncio.wait([self.task])

    async def _run(self) -> None:
        try:
            await hooking.start(self._hooks)
        except asyncio.CancelledError:
            self._opened.cancel()
            raise
        except HookError as error:  # each worker raises it
            self.closing = True
            self._opened.set_exception(error)
        else:
            self._opened.set_result(None)
            await self._all_gone()
            await hooking.stop(self._hooks)
        finally:
            del self._shifts[self._hooks]

    async def _all_gone(self) -> None:
        """Also when a loop that ends cancels all its tasks: workers first, then what their tasks need."""
        while not self._empty.is_set():
            try:
                await self._empty.wait()
            except asyncio.CancelledError:
                self.task.uncancel()


_by_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hooks, _Shift]]] = WeakKeyDictionary()
