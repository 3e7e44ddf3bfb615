"""One question to Redis from a command that has no event loop: inspector made, asked, closed.

Called by `stats` and `dead`. What it needs is imported when it runs: the supervisor's parent loads the commands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # brings redis-py
    from asyncq.broker.inspector import RedisInspector

Answer = TypeVar("Answer")


def ask(url: str, question: Callable[[RedisInspector], Awaitable[Answer]]) -> Answer:
    """The answer of an inspector of that Redis. Raises as the question does."""
    import asyncio

    from asyncq.broker.connection import ConnectionSettings
    from asyncq.broker.inspector import RedisInspector

    async def answer() -> Answer:
        inspector = RedisInspector(ConnectionSettings(url))
        try:
            return await question(inspector)
        finally:
            await inspector.close()

    return asyncio.run(answer())
