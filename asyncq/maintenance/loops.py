"""`forever`: the frame of every maintenance loop. Redis may go away; a loop never ends because of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random

from asyncq.core.backoff import Backoff
from asyncq.core.errors import BrokerError

log = logging.getLogger("asyncq.maintenance")


async def forever(name: str, step: Callable[[], Awaitable[float]], rng: Random) -> None:
    """Run `step` until cancelled.

    Args:
        name: For the log.
        step: Does one round and returns the seconds until the next.
        rng: Jitter of the back-off while Redis is away.
    """
    backoff = Backoff(rng)
    while True:
        try:
            pause_s = await step()
        except BrokerError as error:
            if backoff.failures == 0:
                log.warning("maintenance waits for redis", extra={"loop": name, "error": str(error)})
            pause_s = backoff.next_s()
        else:
            backoff.reset()
        await asyncio.sleep(pause_s)
