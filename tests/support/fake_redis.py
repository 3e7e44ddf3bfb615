"""A Redis inside this process, behind the links of asyncq/broker/connection.py: no server, no socket, no thread.

Used through the fixture `fake_redis`, by unit tests of everything that does not block.
"""

import asyncio
import time
from functools import partial
from types import ModuleType, TracebackType
from typing import Any, Self

import fakeredis
import pytest

from asyncq.broker import connection
from asyncq.broker.connection import ConnectionSettings
from tests.support.again import once_more

ADDRESS = "redis://fake.test:1/0"  # nothing is looked up and nothing connected

# Why a test stays with real servers.
WAITING = "a blocking move that has to wait moves nothing, and nobody can be woken"
CUT = "there is no wire that could be cut, and no reply that could be lost"
SHA1HEX = "its Lua has no redis.sha1hex"
FULL = "it knows no maxmemory"
STATISTICS = "it counts no commands"

on_fake = once_more


class FakeAsyncLink(fakeredis.FakeAsyncRedisConnection):
    """A connection that remembers when it last had an answer, as redis-py's own does; else it would ask PING always."""

    async def read_response(self, **options: Any) -> Any:
        try:
            return await super().read_response(**options)
        finally:
            self.next_health_check = asyncio.get_running_loop().time() + self.health_check_interval


class FakeSyncLink(fakeredis.FakeRedisConnection):
    """The same for threads."""

    def read_response(self, **options: Any) -> Any:
        try:
            return super().read_response(**options)
        finally:
            self.next_health_check = time.monotonic() + self.health_check_interval


class FakeRedisServer:
    """fakeredis with its Lua: judges commands, scripts and replies in microseconds.

    Faithful enough for producers, inspector, promoter, reaper, exchange and every script; what is not stays with real
    servers (tests/contract, tests/lua), for the reasons above this class. Left out as a whole: test_registration_wait,
    test_popper and test_wires (WAITING), test_registration_lost_replies (CUT), test_tls, test_acl (no server).

    Attributes:
        settings: For whatever is made on this server.
        client: A plain synchronous client, for looking at keys.
    """

    def __init__(self) -> None:
        self._server = fakeredis.FakeServer(version=(7, 4))
        self.settings = ConnectionSettings(ADDRESS)
        self.client = fakeredis.FakeRedis(server=self._server, protocol=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.client.close()

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From here on the factory of connections connects to this server, whatever the URL's host."""
        links: dict[ModuleType, type] = {connection.async_redis: FakeAsyncLink, connection.sync_redis: FakeSyncLink}
        for module, link in links.items():
            monkeypatch.setattr(module, "Connection", partial(link, server=self._server))
