"""Redis Cluster for asyncio: a wire and a line that carry each command to the node of its slot.

Made by wires.py. One AsyncWire or BlockingLine of wire.py for each node, with the deadlines and promises of those;
where to go is decided in slots.py. What they add: a call may take a few round trips when slots move.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.redis_url import Address
from asyncq.broker.scripts import Command
from asyncq.broker.slots import Router, Steps, Trip, slot_of
from asyncq.broker.wire import UNBLOCK_AGAIN_S, UNBLOCK_LONGEST_S, AsyncWire, BlockingLine, raise_first_error
from asyncq.broker.wire_door import Wire
from asyncq.core.clock import mono_s
from asyncq.core.errors import BrokerError

_LOOK_S: Final = 0.001
_TURN_S: Final = 0.5


async def travel(steps: Steps, carry: Callable[[Trip], Awaitable[list[Any]]]) -> list[Any]:
    """Make each trip, and give back its replies or its failure, until all is done."""
    try:
        trip = next(steps)
        while True:
            try:
                replies = await carry(trip)
            except BrokerError as error:
                trip = steps.throw(error)
            else:
                trip = steps.send(replies)
    except StopIteration as done:
        found: list[Any] = done.value
        return found
    finally:
        steps.close()


class ClusterWire:
    """Implements wire_door.Wire.

    Args:
        settings: Where some of the nodes are.
        client_name: What CLIENT LIST shows behind `asyncq:`.
        connections: At most this many at once to each node.
    """

    def __init__(self, settings: ConnectionSettings, client_name: str, connections: int) -> None:
        self.settings = settings
        self.router = Router(settings.place.addresses)
        self._client_name = client_name
        self._connections = connections
        self._nodes: dict[Address, AsyncWire] = {}
        self._lines = 0
        self._closed = False

    async def call(self, *command: str | bytes | int) -> Any:
        """See the door."""
        return (await self.pipeline((command,)))[0]

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """See the door. Commands of one slot take one round trip unless the slot moved."""
        replies = await travel(self.router.steps(commands), self.carry)
        raise_first_error(replies, self.settings.address)
        return replies

    async def carry(self, trip: Trip) -> list[Any]:
        """One round trip to one node."""
        return await (await self.at(trip.at)).round_trip(trip.commands)

    async def at(self, node: Address) -> AsyncWire:
        """The wire to one node. No Redis call."""
        wire = self._nodes.get(node)
        if wire is None:
            wire = self._nodes[node] = AsyncWire(self.settings.server(node), self._client_name, self._connections)
            await close_gone(self._nodes, (node, *self.router.nodes))
            if self._closed:
                await wire.close()
        return wire

    def line(self, client_name: str) -> ClusterLine:
        """See the door."""
        self._lines += 1
        return ClusterLine(self, client_name, first_turn=self._lines)

    async def close(self) -> None:
        """See the door."""
        self._closed = True
        for wire in list(self._nodes.values()):
            await wire.close()


async def close_gone(open_: dict[Address, Any], wanted: Iterable[Address]) -> None:
    """Close what leads to nodes that are no longer there."""
    for node in open_.keys() - set(wanted):
        await open_.pop(node).close()


class ClusterLine:
    """Implements wire_door.Line: one blocking call at a time, at the node that serves its keys.

    A BLPOP of lists in several slots looks into all of them, in their order, and then waits for each slot in turn,
    because no node can wait for all of them: an element may be noticed half a second late. Lines begin with different
    slots, so that many consumers together wait for all of them.
    """

    def __init__(self, wire: ClusterWire, client_name: str, *, first_turn: int) -> None:
        self._wire = wire
        self._client_name = client_name
        self._lines: dict[Address, BlockingLine] = {}
        self._at: Address | None = None
        self._turn = first_turn
        self._call = 0
        self._calling = False
        self._woken = False
        self._closed = False

    @property
    def busy(self) -> bool:
        """See the door."""
        return self._calling

    async def call(self, command: Command, block_s: float) -> Any:
        """See the door."""
        self._calling, self._woken = True, False
        self._call += 1
        try:
            groups = _groups(command)
            if len(groups) == 1:
                return await self._block(command, block_s)
            return await self._block_in_turn(groups, block_s)
        finally:
            self._calling, self._at = False, None

    async def _block_in_turn(self, groups: list[Command], block_s: float) -> Any:
        until_mono = mono_s() + block_s
        for group in groups:
            reply = await self._block((*group, f"{_LOOK_S:.3f}"), _LOOK_S)
            if reply is not None or self._woken:
                return reply
        while (left_s := until_mono - mono_s()) > 0:
            turn_s = max(min(_TURN_S, left_s), _LOOK_S)
            group = groups[self._turn % len(groups)]
            self._turn += 1
            reply = await self._block((*group, f"{turn_s:.3f}"), turn_s)
            if reply is not None or self._woken:
                return reply
        return None

    async def _block(self, command: Command, block_s: float) -> Any:
        async def carry(trip: Trip) -> list[Any]:
            if trip.of_router:
                return await self._wire.carry(trip)
            if self._woken:  # before it was sent to this node: as if it had been woken there
                return [None] * len(trip.commands)
            line = await self._line(trip.at)
            self._at = trip.at
            return await line.round_trip(trip.commands, block_s)

        replies = await travel(self._wire.router.steps((command,)), carry)
        raise_first_error(replies, self._wire.settings.address)
        return replies[0]

    async def _line(self, node: Address) -> BlockingLine:
        line = self._lines.get(node)
        if line is None:
            line = self._lines[node] = BlockingLine(self._wire.settings.server(node), self._client_name)
            await close_gone(self._lines, (node, *self._wire.router.nodes))
            if self._closed:
                await line.close()
        return line

    async def wake(self, commands: Wire) -> None:
        """See the door. Asked at the node on which the call blocks, until it is over."""
        this, pause_s = self._call, UNBLOCK_AGAIN_S
        while self._calling and self._call == this:
            self._woken = True
            at = self._at
            line = None if at is None else self._lines.get(at)
            if at is not None and line is not None and line.busy:
                await line.wake(await self._wire.at(at))
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, UNBLOCK_LONGEST_S)

    async def close(self) -> None:
        """See the door."""
        self._closed = True
        for line in list(self._lines.values()):
            await line.close()


def _groups(command: Command) -> list[Command]:
    """A BLPOP without its time-out, once for each slot of its lists; any other command has one slot."""
    if command[0] != "BLPOP":
        return [command]
    lists: dict[int, list[str | bytes | int]] = {}
    for key in command[1:-1]:
        lists.setdefault(slot_of(key), []).append(key)
    return [("BLPOP", *keys) for keys in lists.values()]
