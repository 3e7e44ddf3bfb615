"""The synchronous twin: wire and producer for threads, scripts, Flask and Django.

Called by the client room. Shares every command and every error with the asyncio side; only the waiting differs. Safe to
use from several threads; after a fork the child opens connections of its own. Never retries.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from asyncq.broker.connection import ConnectionSettings, SyncLink, sync_connection
from asyncq.broker.failures import CALL_ERRORS, translate
from asyncq.broker.producer import PUSH_CHUNK, push_commands, push_error
from asyncq.broker.scripts import Command
from asyncq.broker.wire import pack, raise_first_error, unknown_scripts, with_loading
from asyncq.core.errors import BrokerError


def _read(connection: SyncLink) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


class SyncWire:
    """Connections for commands that do not block, one per thread that is calling right now."""

    def __init__(self, settings: ConnectionSettings, client_name: str) -> None:
        self._settings = settings
        self._client_name = client_name
        self._pid = os.getpid()
        self._idle: list[SyncLink] = []  # append and pop are atomic
        self._closed = False

    def call(self, *command: str | bytes | int) -> Any:
        """One command, one reply. Raises as AsyncWire.pipeline."""
        return self.pipeline((command,))[0]

    def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """All commands in one round trip; see AsyncWire.pipeline."""
        replies = self._round_trip(commands)
        again = unknown_scripts(replies)
        if again:
            loaded = self._round_trip(with_loading([commands[k] for k in again]))
            for k, reply in zip(again, loaded[1::2], strict=True):
                replies[k] = reply
        raise_first_error(replies, self._settings.address)
        return replies

    def close(self) -> None:
        """Close the connections. No Redis call."""
        self._closed = True
        while self._idle:
            self._idle.pop().disconnect()

    def _round_trip(self, commands: Sequence[Command]) -> list[Any]:
        packed = [pack(command) for command in commands]
        connection, sent = None, False
        try:
            connection = self._connected()
            sent = True
            connection.send_packed_command(packed, check_health=False)
            replies = [_read(connection) for _ in packed]
        except BaseException as error:
            if connection is not None:
                connection.disconnect()
            if isinstance(error, CALL_ERRORS):
                raise translate(error, self._settings.address, sent=sent) from error
            raise
        if self._closed:
            connection.disconnect()
        else:
            self._idle.append(connection)
        return replies

    def _connected(self) -> SyncLink:
        if self._pid != os.getpid():  # a forked child must not speak over its parent's sockets
            self._pid, self._idle = os.getpid(), []
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            try:
                # Readable while idle: closed by the other side, or a reply nobody asked for.
                if not connection.can_read(timeout=0):
                    connection.check_health()
                    return connection
            except CALL_ERRORS:
                pass
            connection.disconnect()
        connection = sync_connection(self._settings, self._client_name)
        connection.connect()
        return connection


class SyncProducer:
    """Pushes from threads; the promises, errors and costs of `producer.Producer`."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._wire = SyncWire(settings, "producer")

    def push(self, queue: str, raw: bytes) -> None:
        """Put one message at the tail of the queue. Cost: 1 RPUSH."""
        self.push_many(queue, (raw,))

    def push_many(self, queue: str, raws: Sequence[bytes]) -> None:
        """Put many messages at the tail of the queue, in order. Cost: 1 RPUSH and round trip per thousand."""
        for done, command in enumerate(push_commands(queue, raws)):
            try:
                self._wire.call(*command)
            except BrokerError as error:
                raise push_error(error, queue, done * PUSH_CHUNK, len(raws)) from error

    def ping(self) -> None:
        """One PING."""
        self._wire.call("PING")

    def close(self) -> None:
        """Close the connections. No Redis call."""
        self._wire.close()
