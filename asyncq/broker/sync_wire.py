"""Wires for threads: commands out, replies back, without an event loop.

Made by wires.py. The promises of wire.py and cluster.py, one command at a time; never a hidden second try. Safe to use
from several threads; after a fork the child opens connections of its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from asyncq.broker.connection import ConnectionSettings, SyncLink
from asyncq.broker.failures import CALL_ERRORS, needs_reopening, translate
from asyncq.broker.opening import open_sync
from asyncq.broker.redis_url import Address
from asyncq.broker.scripts import Command, script_of
from asyncq.broker.slots import Router, Trip
from asyncq.broker.wire import pack, raise_first_error
from asyncq.core.errors import BrokerError


def _read(connection: SyncLink) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


class OneSyncWire:
    """Implements wire_door.SyncWire: connections to one server, one per thread that is calling right now."""

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
        (reply,) = self.round_trip((command,))
        if isinstance(reply, NoScriptError):
            loaded = self.round_trip((("SCRIPT", "LOAD", script_of(command).source),))
            raise_first_error(loaded, self._settings.address)
            (reply,) = self.round_trip((command,))
        if needs_reopening(reply):
            self._drop_idle()
        raise_first_error((reply,), self._settings.address)
        return reply

    def close(self) -> None:
        """Close the connections. No Redis call."""
        self._closed = True
        self._drop_idle()

    def _drop_idle(self) -> None:
        with contextlib.suppress(IndexError):  # several threads may do so at once
            while True:
                self._idle.pop().disconnect()

    def round_trip(self, commands: Sequence[Command]) -> list[Any]:
        """All commands and their replies, errors among them. Raises as `call` when there are no replies."""
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
                self._drop_idle()
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
        return open_sync(self._settings, self._client_name)


class SyncClusterWire:
    """Implements wire_door.SyncWire: carries each command to the node of its slot.

    The map of slots is shared by all threads; two that find it out of date both ask for it.
    """

    def __init__(self, settings: ConnectionSettings, client_name: str) -> None:
        self._settings = settings
        self._client_name = client_name
        self._router = Router(settings.place.addresses)
        self._nodes: dict[Address, OneSyncWire] = {}
        self._closed = False

    def call(self, *command: str | bytes | int) -> Any:
        """See the door. One round trip unless the slot moved."""
        replies = self._travel((command,))
        raise_first_error(replies, self._settings.address)
        return replies[0]

    def _travel(self, commands: Sequence[Command]) -> list[Any]:
        steps = self._router.steps(commands)
        try:
            trip = next(steps)
            while True:
                try:
                    replies = self._carry(trip)
                except BrokerError as error:
                    trip = steps.throw(error)
                else:
                    trip = steps.send(replies)
        except StopIteration as done:
            found: list[Any] = done.value
            return found

    def _carry(self, trip: Trip) -> list[Any]:
        wire = self._nodes.get(trip.at)
        if wire is None:
            wire = OneSyncWire(self._settings.server(trip.at), self._client_name)
            wire = self._nodes.setdefault(trip.at, wire)
            self._close_gone(trip.at)
            if self._closed:
                wire.close()
        return wire.round_trip(trip.commands)

    def _close_gone(self, new: Address) -> None:
        """Close what leads to nodes that are no longer there."""
        for node in set(self._nodes) - {new, *self._router.nodes}:
            gone = self._nodes.pop(node, None)
            if gone is not None:
                gone.close()

    def close(self) -> None:
        """Close the connections. No Redis call."""
        self._closed = True
        for wire in list(self._nodes.values()):
            wire.close()
