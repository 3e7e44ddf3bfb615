"""`forever`: the frame of every maintenance loop. Redis may go away or refuse; a loop never ends because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from asyncq.core.contact import Contact
from asyncq.core.errors import BrokerError, BrokerRefusedError

# Until somebody has mended what Redis refuses; the other loops go on meanwhile.
REFUSED_PAUSE_S: Final = 1.0


async def forever(step: Callable[[], Awaitable[float]], contact: Contact) -> None:
    """Run `step` until cancelled.

    Args:
        step: Does one round, tells `contact` when Redis answered, and returns the seconds until the next.
        contact: Waits while Redis is away, and says what it refuses.
    """
    while True:
        try:
            pause_s = await step()
        except BrokerRefusedError as error:
            contact.refused(error)
            await asyncio.sleep(REFUSED_PAUSE_S)
        except BrokerError as error:
            await contact.failed(error)
        else:
            await asyncio.sleep(pause_s)
