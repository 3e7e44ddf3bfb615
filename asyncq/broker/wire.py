"""Wires: commands out, replies back, for asyncio. One deadline per round trip, never a hidden second try.

Made by wires.py, for one server or for the master behind sentinels; cluster.py has one for each node. A connection
whose call failed, timed out or was cancelled is closed, never used again: an unread reply would answer the next one.
When a server is lost, or says that it is no master, the idle connections to it are closed too: new ones ask again.
A wire belongs to one event loop and must not cross a fork.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from hiredis import pack_command
from redis.exceptions import NoScriptError, ResponseError

from asyncq.broker.connection import AsyncLink, ConnectionSettings
from asyncq.broker.failures import CALL_ERRORS, NotSentError, ReplyLostError, needs_reopening, translate
from asyncq.broker.opening import open_async
from asyncq.broker.scripts import Command, script_of
from asyncq.broker.wire_door import Wire
from asyncq.core.errors import BrokerError

DEFAULT_CONNECTIONS: Final = 8
UNBLOCK_AGAIN_S: Final = 0.002
UNBLOCK_LONGEST_S: Final = 0.1
_CLOSED: Final = "closed by this process"


def pack(command: Command) -> bytes:
    """The bytes of one command."""
    packed: bytes = pack_command(command)  # type: ignore[arg-type] # hiredis declares a tuple of exactly one
    return packed


def unknown_scripts(replies: Sequence[Any]) -> list[int]:
    """Positions of the commands that Redis refused because it does not know their script (any more)."""
    return [k for k, reply in enumerate(replies) if isinstance(reply, NoScriptError)]


def with_loading(commands: Sequence[Command]) -> list[Command]:
    """Each EVALSHA preceded by the SCRIPT LOAD that makes it known."""
    return [part for command in commands for part in (("SCRIPT", "LOAD", script_of(command).source), command)]


def raise_first_error(replies: Sequence[Any], address: str) -> None:
    """Raise the house's error for the first reply that is one."""
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise translate(reply, address, sent=True) from reply


async def _read(connection: AsyncLink) -> Any:
    """One reply; an error reply is returned, so that the replies behind it are read too."""
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _is_open(connection: AsyncLink) -> bool:
    """Whether the other side has not closed it, as far as the event loop has heard. No system call."""
    reader = getattr(connection, "_reader", None)
    return reader is not None and not reader.at_eof()


class AsyncWire:
    """A few connections for commands that do not block.

    Args:
        settings: Where Redis is.
        client_name: What CLIENT LIST shows behind `asyncq:`.
        connections: At most this many at once; further calls wait for one within their deadline.
    """

    def __init__(self, settings: ConnectionSettings, client_name: str, connections: int = DEFAULT_CONNECTIONS) -> None:
        self._settings = settings
        self._client_name = client_name
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[AsyncLink] = []
        self._closed = False

    async def call(self, *command: str | bytes | int) -> Any:
        """One command, one reply. Raises as `pipeline`."""
        return (await self.pipeline((command,)))[0]

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """All commands in one round trip, not as a transaction.

        A script that Redis does not know is loaded and only its command sent again: it surely did not run.

        Raises:
            BrokerUnavailableError, BrokerRefusedError: for the first reply that is an error; the others were carried
                out all the same.
            ReplyLostError: written, and the replies did not come, or not those of a script that had to be loaded.
        """
        replies = await self.round_trip(commands)
        again = unknown_scripts(replies)
        if again:
            try:
                loaded = await self.round_trip(with_loading([commands[k] for k in again]))
            except NotSentError as error:  # true of the scripts alone: the other commands were sent
                raise ReplyLostError(f"a part may have been carried out: {error}") from error
            for k, reply in zip(again, loaded[1::2], strict=True):
                replies[k] = reply
        try:
            raise_first_error(replies, self._settings.address)
        except BrokerError:
            if any(map(needs_reopening, replies)):
                await self._drop_idle()
            raise
        return replies

    def line(self, client_name: str) -> BlockingLine:
        """A line to the same Redis."""
        return BlockingLine(self._settings, client_name)

    async def close(self) -> None:
        """Close the connections; those in use follow when their call ends. No Redis call."""
        self._closed = True
        await self._drop_idle()

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    async def round_trip(self, commands: Sequence[Command]) -> list[Any]:
        """All commands and their replies, errors among them. Raises as `pipeline` when there are no replies."""
        packed = [pack(command) for command in commands]
        connection, sent = None, False
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s) as limit, self._slots:
                connection = await self._connected()
                limit.reschedule(asyncio.get_running_loop().time() + self._settings.reply_timeout_s)
                sent = True
                await connection.send_packed_command(packed, check_health=False)
                replies = [await _read(connection) for _ in packed]
        except BaseException as error:
            if connection is not None:
                await connection.disconnect(nowait=True)
            if isinstance(error, CALL_ERRORS):
                await self._drop_idle()
                raise translate(error, self._settings.address, sent=sent) from error
            raise
        if self._closed:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)
        return replies

    async def _connected(self) -> AsyncLink:
        """A connection that answered lately or is new. Nothing was sent yet, so a stale one is simply replaced."""
        while self._idle:
            connection = self._idle.pop()
            try:
                if _is_open(connection):
                    await connection.check_health()
                    return connection
            except CALL_ERRORS:
                pass
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
            await connection.disconnect(nowait=True)
        return await open_async(self._settings, self._client_name)


class BlockingLine:
    """One connection for one blocking call at a time, which `wake` can end early without losing its reply.

    After `close` it stays closed, also when a call was just about to open the connection.
    """

    def __init__(self, settings: ConnectionSettings, client_name: str) -> None:
        self._settings = settings
        self._client_name = client_name
        self._connection: AsyncLink | None = None
        self._client_id = 0
        self._closed = False
        self._call = 0
        self._calling = False
        self._sent = False

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._calling

    async def call(self, command: Command, block_s: float) -> Any:
        """Send a command that Redis may answer up to `block_s` later; None at the time-out or when woken.

        Raises as AsyncWire.pipeline; the connection is closed when anything but a reply ends the call.
        """
        replies = await self.round_trip((command,), block_s)
        raise_first_error(replies, self._settings.address)
        return replies[0]

    async def round_trip(self, commands: Sequence[Command], block_s: float) -> list[Any]:
        """The same with what has to be said before; errors among the replies."""
        self._calling, self._sent = True, False
        self._call += 1
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s) as limit:
                connection = await self._connected()
                limit.reschedule(asyncio.get_running_loop().time() + block_s + self._settings.reply_timeout_s)
                self._sent = True
                await connection.send_packed_command([pack(command) for command in commands], check_health=False)
                replies = [await _read(connection) for _ in commands]
        except BaseException as error:
            await self._drop()
            if isinstance(error, CALL_ERRORS):
                raise translate(error, self._settings.address, sent=self._sent) from error
            raise
        finally:
            self._calling = False
        if any(map(needs_reopening, replies)):
            await self._drop()
        return replies

    async def wake(self, commands: Wire) -> None:
        """End the running call; harmless when there is none. Usually 1 CLIENT UNBLOCK over `commands`.

        The request to block travels on another connection and may still be under way: asked until it is over. One
        that never arrives is over after its time-outs only, so the pauses double from 2 to 100 ms.
        """
        this, pause_s = self._call, UNBLOCK_AGAIN_S
        while self._calling and self._call == this:
            if self._sent and await commands.call("CLIENT", "UNBLOCK", self._client_id):
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, UNBLOCK_LONGEST_S)

    async def close(self) -> None:
        """Close the connection for good; a running call, and every later one, fails. No Redis call."""
        self._closed = True
        await self._drop()

    async def _drop(self) -> None:
        """Close the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _connected(self) -> AsyncLink:
        if self._connection is not None and not _is_open(self._connection):
            await self._drop()
        if self._connection is None:
            self._connection = await self._opened()
        return self._connection

    async def _opened(self) -> AsyncLink:
        """A new connection whose number at the server is known."""
        if self._closed:
            raise ConnectionError(_CLOSED)
        connection = await open_async(self._settings, self._client_name)
        try:
            await connection.send_packed_command([pack(("CLIENT", "ID"))], check_health=False)
            self._client_id = await connection.read_response()
            if self._closed:
                raise ConnectionError(_CLOSED)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection
