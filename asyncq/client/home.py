"""Which Redis and which settings the producers and consumers inside this very process use.

Told by the roof before it imports the tasks of a worker, and by `asyncq.simple.use_redis`; asked by clients that name
no Redis, and by `asyncq.simple`. Whoever was told nothing looks where the command line looks, on first use and never
at import.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from asyncq.broker.connection import ConnectionSettings
from asyncq.core.codec import MAX_MESSAGE_BYTES
from asyncq.core.errors import ConfigurationError, shown
from asyncq.core.number import is_whole
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

    def look(self) -> tuple[str, Settings]:
        """The Redis URL and the settings.

        Raises:
            ConfigurationError: a setting is wrong.
            BrokerUnavailableError: nobody names a Redis and none runs.

        Cost: nothing for whoever was told both; else two small files, and at most 2 PINGs when no URL is set.
        """
        if self._url is not None and self._settings is not None:
            return self._url, self._settings
        loaded = load({})
        return self._url or loaded.settings.redis_url or _running(loaded), loaded.settings

    async def find(self) -> tuple[str, Settings]:
        """As `look`, without holding up the event loop."""
        if self._url is not None and self._settings is not None:
            return self._url, self._settings
        return await asyncio.to_thread(self.look)


@dataclass(frozen=True, slots=True)
class Target:
    """What a client was told about where it enqueues.

    Attributes:
        connection: None = where this process is at home.
        limit_bytes: Refuse a larger message; None = the setting's where this process is at home, else 1 MiB.
    """

    connection: ConnectionSettings | None
    limit_bytes: int | None

    def look(self) -> tuple[ConnectionSettings, int]:
        """Where to, and how large a message may be. Raises as `Home.look`."""
        return self._settled(*home.look()) if self.connection is None else (self.connection, self._limit())

    async def find(self) -> tuple[ConnectionSettings, int]:
        """As `look`, without holding up the event loop."""
        return self._settled(*await home.find()) if self.connection is None else (self.connection, self._limit())

    def _settled(self, url: str, settings: Settings) -> tuple[ConnectionSettings, int]:
        return ConnectionSettings(url), self.limit_bytes or settings.max_message_bytes

    def _limit(self) -> int:
        return self.limit_bytes or MAX_MESSAGE_BYTES


def target(redis_url: str | None, limit_bytes: int | None) -> Target:
    """Check what a client is given.

    Raises:
        ConfigurationError: the URL is no Redis URL, or the limit no number of bytes.
    """
    if limit_bytes is not None and not (is_whole(limit_bytes) and limit_bytes > 0):
        raise ConfigurationError(f"max_message_bytes: expected a whole number from 1, found {shown(limit_bytes)}")
    return Target(None if redis_url is None else ConnectionSettings(redis_url), limit_bytes)


def _running(loaded: Loaded) -> str:
    from asyncq.broker.choice import reachable_redis  # brings the embedded server: only when nobody names a Redis

    return reachable_redis(loaded).url


home: Final = Home()
