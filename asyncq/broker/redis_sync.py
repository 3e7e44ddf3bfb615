"""The synchronous twin: wire and producer for code without an event loop.

Called by SyncClient, `asyncq enqueue`, `asyncq version` and the benchmarks. Shares every command and every error with
the asyncio side; only the waiting differs. Safe to use from several threads; after a fork the child opens connections
of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from random import Random
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from asyncq.broker.connection import ConnectionSettings, SyncLink, sync_connection
from asyncq.broker.failures import CALL_ERRORS, translate
from asyncq.broker.pushes import Chunk, Push, Tries, chunks, push_error
from asyncq.broker.scripts import Command, script_of
from asyncq.broker.wire import pack, raise_first_error
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
        """One command, one reply. A script that Redis does not know is loaded and sent again: it surely did not run.

        Raises:
            BrokerUnavailableError, BrokerRefusedError: it was not carried out.
            ReplyLostError: written, and the reply did not come.
        """
        reply = self._round_trip(command)
        if isinstance(reply, NoScriptError):
            loaded = self._round_trip(("SCRIPT", "LOAD", script_of(command).source))
            raise_first_error((loaded,), self._settings.address)
            reply = self._round_trip(command)
        raise_first_error((reply,), self._settings.address)
        return reply

    def close(self) -> None:
        """Close the connections. No Redis call."""
        self._closed = True
        while self._idle:
            self._idle.pop().disconnect()

    def _round_trip(self, command: Command) -> Any:
        packed = [pack(command)]
        connection, sent = None, False
        try:
            connection = self._connected()
            sent = True
            connection.send_packed_command(packed, check_health=False)
            reply = _read(connection)
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
        return reply

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
        self._rng = Random()

    def push(self, queue: str, raw: bytes) -> None:
        """Put one message at the tail of the queue. Cost: 1 RPUSH."""
        self.send((Push(queue, (raw,)),))

    def push_many(self, queue: str, raws: Sequence[bytes]) -> None:
        """Put many messages at the tail of the queue, in order. Cost: 1 RPUSH per thousand."""
        self.send((Push(queue, raws),))

    def send(self, pushes: Sequence[Push]) -> None:
        """Enqueue all messages of all pushes, one push after the other; see `Producer.send`."""
        total, done = sum(len(push.raws) for push in pushes), 0
        for chunk in [chunk for push in pushes for chunk in chunks(push)]:
            self._send(chunk, done, total)
            done += chunk.count

    def _send(self, chunk: Chunk, done: int, total: int) -> None:
        tries = None
        while True:
            try:
                self._wire.call(*chunk.command)
                return
            except BrokerError as error:
                tries = tries or Tries(chunk, self._rng)
                pause_s = tries.pause_s(error)
                if pause_s is None:
                    raise push_error(tries.told(error), chunk, done, total) from error
            time.sleep(pause_s)

    def close(self) -> None:
        """Close the connections. No Redis call."""
        self._wire.close()
