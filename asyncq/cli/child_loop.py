"""What the event loops of keeper and admin have in common: how they end, that they live, what they are told.

Called by `child_keeper` and `child_admin`. A worker has its own, in its own room.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from asyncq.supervisor.newborn import ChildContext


def stop_event() -> asyncio.Event:
    """Set by the signals that end a helper."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGQUIT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def beat(context: ChildContext) -> None:
    """The loop lives: said from the loop itself."""
    while True:
        context.page.beat()
        await asyncio.sleep(0.5)


def on_messages(context: ChildContext, handle: Callable[[dict[str, object]], None], stop: asyncio.Event) -> None:
    """Call `handle` for every message of the supervisor; its end is ours."""

    def read() -> None:
        try:
            for message in context.channel.messages("supervisor"):
                handle(message)
        except EOFError:
            asyncio.get_running_loop().remove_reader(context.channel.fileno())
            stop.set()

    asyncio.get_running_loop().add_reader(context.channel.fileno(), read)
