"""Which Redis and which settings the producers and consumers inside this very process use.

Told by the roof before it imports the tasks of a worker, and by `asyncq.simple.use_redis`; asked by `asyncq.simple`.
Whoever was told nothing looks where the command line looks, on first use and never at import.
"""

from __future__ import annotations

import asyncio
from typing import Final

from asyncq.core.settings import Loaded, Settings, load


class Home:
    """One per process."""

    def __init__(self) -> None:
        self._url: str | None = None
        self._settings: Settings | None = None

    def move(self, url: str, settings: Settings | None = None) -> None:
        """From now on this Redis; and these settings, if any are given."""
        self._url = url
        self._settings = settings or self._settings

    async def find(self) -> tuple[str, Settings]:
        """The Redis URL and the settings.

        Raises:
            ConfigurationError: a setting is wrong.
            BrokerUnavailableError: nobody names a Redis and none runs.
        """
        if self._url is not None and self._settings is not None:
            return self._url, self._settings
        return await asyncio.to_thread(self._look)  # reads files and may ask a socket: not in the loop

    def _look(self) -> tuple[str, Settings]:
        loaded = load({})
        return self._url or loaded.settings.redis_url or _running(loaded), loaded.settings


def _running(loaded: Loaded) -> str:
    from asyncq.cli.redis_choice import reachable_redis  # brings the embedded server: only when nobody names a Redis

    return reachable_redis(loaded).url


home: Final = Home()
