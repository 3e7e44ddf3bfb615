"""PerLoop: one thing per event loop, made on first use and closed with its loop.

Flask's async views run each request in an event loop of its own, scripts call `asyncio.run` again and again, and
servers fork: what holds connections of one loop must not be used in another, nor in a forked child.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Thing = TypeVar("Thing")

_Kept = tuple[Thing, AsyncGenerator[None]]


class PerLoop(Generic[Thing]):
    """Keeps one Thing per event loop of this process.

    Args:
        make: Makes one inside the loop.
        close: Closes one inside its loop.
    """

    def __init__(self, make: Callable[[], Awaitable[Thing]], close: Callable[[Thing], Awaitable[None]]) -> None:
        self._make, self._close = make, close
        self._pid = os.getpid()
        self._inherited: list[object] = []
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Kept[Thing]] = WeakKeyDictionary()

    async def current(self) -> Thing:
        """The running loop's own."""
        loop = asyncio.get_running_loop()
        if self._pid != os.getpid():
            self._leave_to_parent()
        kept = self._by_loop.get(loop)
        if kept is None:
            self._forget_closed()
            made = await self._make()
            kept = self._by_loop.get(loop)
            if kept is not None:  # somebody else was faster
                await self._close(made)
            else:
                kept = self._by_loop[loop] = made, self._end_with(loop, made)
                await anext(kept[1])
        return kept[0]

    async def close(self) -> None:
        """Close the running loop's own; the next use makes another."""
        kept = self._by_loop.get(asyncio.get_running_loop())
        if kept is not None:
            await kept[1].aclose()

    def _leave_to_parent(self) -> None:
        """After a fork: the connections are the parent's. They are kept here, because closing them could touch it."""
        self._inherited.append(self._by_loop)
        self._pid, self._by_loop = os.getpid(), WeakKeyDictionary()

    def _forget_closed(self) -> None:
        """Those of loops that were closed without that hook; without a reference their sockets are closed, too."""
        for reference in self._by_loop.keyrefs():  # a list: loops of other threads come and go meanwhile
            loop = reference()
            if loop is not None and loop.is_closed():
                self._by_loop.pop(loop, None)

    async def _end_with(self, loop: asyncio.AbstractEventLoop, made: Thing) -> AsyncGenerator[None]:
        """Before a loop ends it closes the async generators that are still suspended: the one hook it offers."""
        try:
            yield
        finally:
            self._by_loop.pop(loop, None)
            await self._close(made)
