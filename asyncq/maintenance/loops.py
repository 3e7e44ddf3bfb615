"""`forever`: the frame of every maintenance loop. Redis may go away; a loop never ends because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from asyncq.core.contact import Contact
from asyncq.core.errors import BrokerError


async def forever(step: Callable[[], Awaitable[float]], contact: Contact) -> None:
    """Run `step` until cancelled.

    Args:
        step: Does one round, tells `contact` when Redis answered, and returns the seconds until the next.
        contact: Waits while Redis is away.
    """
    while True:
        try:
            pause_s = await step()
        except BrokerError as error:
            await contact.failed(error)
        else:
            await asyncio.sleep(pause_s)
