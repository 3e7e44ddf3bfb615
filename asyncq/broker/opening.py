"""Opening: a connection that stands, to the server that a URL means at this moment.

Called by the wires whenever they need a new connection. Behind sentinels each one asks who the master is, and the
server itself whether it agrees: a demoted master is not believed. Never sends a command of a caller, never tries twice.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from hiredis import pack_command
from redis.exceptions import ConnectionError as NotConnectedError
from redis.exceptions import ResponseError

from asyncq.broker.connection import AsyncLink, ConnectionSettings, SyncLink, async_connection, sync_connection
from asyncq.broker.failures import CALL_ERRORS, is_answer
from asyncq.broker.redis_url import Address, shown

_ROLE: Final = b"ROLE"
_SENTINEL_CLIENT: Final = "sentinel"


async def open_async(settings: ConnectionSettings, client_name: str) -> AsyncLink:
    """Connect; the caller sets the deadline.

    Raises:
        one of CALL_ERRORS: nobody to connect to.

    Cost: behind sentinels 1 SENTINEL GET-MASTER-ADDR-BY-NAME and 1 ROLE.
    """
    if settings.place.kind != "sentinel":
        return await _connected(async_connection(settings, client_name))
    master = await _master(settings)
    link = await _connected(async_connection(settings.server(master), client_name))
    try:
        _believe(await _ask(link, _ROLE), master)
    except BaseException:
        await link.disconnect(nowait=True)
        raise
    return link


async def _connected(link: AsyncLink) -> AsyncLink:
    try:
        await link.connect()
    except BaseException:
        await link.disconnect(nowait=True)
        raise
    return link


async def _ask(link: AsyncLink, *command: bytes) -> Any:
    await link.send_packed_command([pack_command(command)], check_health=False)  # type: ignore[arg-type]
    return await link.read_response()


async def _master(settings: ConnectionSettings) -> Address:
    """Whom the first sentinel that answers calls the master."""
    failed: list[BaseException] = []
    for sentinel in settings.sentinels():
        link = async_connection(sentinel, _SENTINEL_CLIENT)
        try:
            async with asyncio.timeout(sentinel.connect_timeout_s):
                await link.connect()
                reply = await _ask(link, *_question(settings))
        except CALL_ERRORS as error:
            failed.append(error)
            continue
        finally:
            await link.disconnect(nowait=True)
        if reply is not None:
            return _address(reply)
    raise _unknown(settings, failed)


def open_sync(settings: ConnectionSettings, client_name: str) -> SyncLink:
    """The same for threads; each step ends after the time-outs of the settings."""
    if settings.place.kind != "sentinel":
        return _connected_sync(sync_connection(settings, client_name))
    master = _master_sync(settings)
    link = _connected_sync(sync_connection(settings.server(master), client_name))
    try:
        link.send_command(_ROLE)
        _believe(link.read_response(), master)
    except BaseException:
        link.disconnect()
        raise
    return link


def _connected_sync(link: SyncLink) -> SyncLink:
    try:
        link.connect()
    except BaseException:
        link.disconnect()
        raise
    return link


def _master_sync(settings: ConnectionSettings) -> Address:
    failed: list[BaseException] = []
    for sentinel in settings.sentinels():
        link = None
        try:
            link = sync_connection(sentinel, _SENTINEL_CLIENT)
            link.connect()
            link.send_command(*_question(settings))
            reply = link.read_response()
        except CALL_ERRORS as error:
            failed.append(error)
            continue
        finally:
            if link is not None:
                link.disconnect()
        if reply is not None:
            return _address(reply)
    raise _unknown(settings, failed)


def _question(settings: ConnectionSettings) -> tuple[bytes, ...]:
    return (b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", settings.place.service.encode())


def _address(reply: list[bytes]) -> Address:
    return reply[0].decode(), int(reply[1])


def _unknown(settings: ConnectionSettings, failed: list[BaseException]) -> BaseException:
    """Why no sentinel names a master: that they answer counts more than that others do not."""
    if len(failed) < len(settings.place.addresses):
        return ResponseError(f"no sentinel knows a service {settings.place.service!r}")
    answers = [error for error in failed if is_answer(error)]
    if answers:
        return answers[0]
    last = failed[-1]
    error = NotConnectedError(f"none of its sentinels answers; the last one: {str(last) or type(last).__name__}")
    error.__cause__ = last  # tells what to look at
    return error


def _believe(role: list[Any], server: Address) -> None:
    """Raise unless the server itself says that it is the master."""
    if role[0] != b"master":
        said = role[0].decode("utf-8", "replace")
        raise NotConnectedError(f"the sentinels name {shown(server)} as master, which says it is a {said}")
