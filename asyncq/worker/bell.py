"""Bell: waits beside the feeder for a message in one empty queue, and stops waiting when it is told to.

One per lane. A wait is never just dropped: what it would still move out of the queue had nobody to look for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from asyncq.core.contact import Contact
from asyncq.core.doors import Registration
from asyncq.core.errors import BrokerError

WAIT_S: Final = 5.0
HUSH_RETRY_S: Final = 0.05


class Bell:
    """The waiting of one registration.

    Args:
        registration: Waits on a connection of its own.
        contact: Waits while Redis is away.
        on_end: Called when the wait has ended: True if a message came.
    """

    def __init__(self, registration: Registration, contact: Contact, on_end: Callable[[bool], None]) -> None:
        self._registration, self._contact, self._on_end = registration, contact, on_end
        self._waiting: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._wanted = False

    def listen(self) -> None:
        """Begin to wait, unless it waits already."""
        self._wanted = True
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_task(self._wait(), name="bell")

    def stop(self) -> None:
        """Do not wait again when the wait that may be under way has ended."""
        self._wanted = False

    def hush_soon(self) -> None:
        """As `hush`, without waiting for it. Whoever listens afterwards is not hushed by this."""
        self.stop()
        if self._waiting is not None:
            self._in_background(self._end_wait(), "hush")

    async def hush(self) -> None:
        """End the wait on the server and have its reply read.

        Gives up when somebody wants to listen again meanwhile.

        Raises:
            BrokerError: Redis is away or refuses; then the wait ends by itself.
        """
        self.stop()
        await self._end_wait()

    async def _end_wait(self) -> None:
        """Repeated, because the wake-up may overtake the wait."""
        while not self._wanted and (waiting := self._waiting) is not None:
            await self._registration.wake()
            await asyncio.wait([waiting], timeout=HUSH_RETRY_S)

    async def close(self) -> None:
        """Drop a wait that `hush` could not end, and close its connection. Only when its inbox is somebody's care."""
        self.stop()
        if (waiting := self._waiting) is not None:
            waiting.cancel()
            await asyncio.wait([waiting])
        await self._registration.close()

    def close_soon(self) -> None:
        """Hush, then close, without waiting for it."""
        self.stop()
        self._in_background(self._hush_and_close(), "close bell")

    async def _hush_and_close(self) -> None:
        try:
            await self.hush()
        finally:
            await self.close()

    def _in_background(self, ending: Coroutine[Any, Any, None], name: str) -> None:
        self._ending = asyncio.get_running_loop().create_task(ending, name=name)
        self._ending.add_done_callback(_look)

    async def _wait(self) -> None:
        rang = False
        try:
            while self._wanted and not rang:
                rang = await self._registration.wait(WAIT_S)
                self._contact.made()
        except BrokerError as error:
            await self._contact.failed(error)
        finally:
            self._waiting = None
            self._on_end(rang)


def _look(task: asyncio.Task[None]) -> None:
    """A failed wake-up needs no more than this: the wait ends by itself within seconds."""
    if not task.cancelled():
        task.exception()
