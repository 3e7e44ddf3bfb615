"""A wire that fails where it is told to, so that a machine may lose a reply or send a request late at any round trip.

Stands in for AsyncWire and BlockingLine in the state machine of tests/contract. What it carries out on the real server
it carries out on the model, too, and compares the answers. Faster and more exact than the proxy, which cuts bytes.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.failures import NotSentError, ReplyLostError
from asyncq.broker.scripts import Command, script_of
from asyncq.broker.wire import AsyncWire, BlockingLine
from tests.support.delivery_model import DeliveryModel


class Fate(Enum):
    """What becomes of one round trip."""

    ANSWERED = "answered"
    UNSENT = "not sent"
    LOST = "carried out, the reply lost"
    LATE = "carried out later or never"
    TORN = "only the first commands carried out, the rest later or never, no reply"
    REAPED_BETWEEN = "answered, but a reap came between its commands"


@dataclass
class Faults:
    """What all wires of one machine share.

    Attributes:
        model: The server's double.
        plan: Fates of the next round trips, the first first; ANSWERED when there is none.
        cut: After how many commands the next TORN or REAPED_BETWEEN strikes.
        between: Carries out a reap.
        late: Requests that the server may still get.
        settled: How many messages were settled since somebody set it to 0.
        answer: What the last command answered.
    """

    model: DeliveryModel
    plan: list[Fate] = field(default_factory=list)
    cut: int = 1
    between: Callable[[], Awaitable[None]] | None = None
    late: list[list[Command]] = field(default_factory=list)
    settled: int = 0
    answer: Any = None

    def next(self) -> Fate:
        return self.plan.pop(0) if self.plan else Fate.ANSWERED


class CutWire(AsyncWire):
    """AsyncWire, but for what Faults says."""

    def __init__(self, faults: Faults, settings: ConnectionSettings, client_name: str) -> None:
        super().__init__(settings, client_name)
        self._faults = faults

    def line(self, client_name: str) -> "CutLine":
        return CutLine(self._faults, self._settings, client_name)

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        faults, fate = self._faults, self._faults.next()
        cut = min(faults.cut, len(commands) - 1)
        if fate is Fate.UNSENT:
            raise NotSentError("switched on by the test")
        if fate is Fate.LATE:
            faults.late.append(list(commands))
        elif fate is Fate.TORN:
            await self.carry_out(commands[:cut])
            faults.late.append(list(commands[cut:]))
        elif fate is Fate.REAPED_BETWEEN and faults.between is not None:
            first = await self.carry_out(commands[:cut])
            await faults.between()
            return first + await self.carry_out(commands[cut:])
        else:
            replies = await self.carry_out(commands)
            if fate is not Fate.LOST:
                return replies
        raise ReplyLostError("switched on by the test")

    async def carry_out(self, commands: Sequence[Command]) -> list[Any]:
        """On the server and on the model; in one round trip, or in two when some script is not known there."""
        if not commands:
            return []
        faults = self._faults
        replies = await super().pipeline(commands)
        names = [script_of(command).name if command[0] == "EVALSHA" else "" for command in commands]
        unknown = [name != "" and name not in faults.model.scripts for name in names]
        faults.model.scripts.update(filter(None, names))
        for second in (False, True):
            for k, command in enumerate(commands):
                if unknown[k] is second:
                    expected = faults.model.carry_out(command)
                    assert expected == plain(names[k] or command[0], replies[k]), f"{names[k]} {command}"
                    faults.answer = expected
                    if (command[0] == "HDEL" and ":inflight:" in str(command[1])) or names[k].startswith("settle_"):
                        faults.settled += expected
        return replies

    async def carry_out_late(self, commands: Sequence[Command]) -> None:
        """A request that nobody waits for: nobody loads a script that the server has forgotten."""
        known = self._faults.model.scripts
        await self.carry_out([c for c in commands if c[0] != "EVALSHA" or script_of(c).name in known])


class CutLine(BlockingLine):
    """BlockingLine, but for what Faults says. A blocking move that is late is carried out without blocking."""

    def __init__(self, faults: Faults, settings: ConnectionSettings, client_name: str) -> None:
        super().__init__(settings, client_name)
        self._faults = faults

    async def call(self, command: Command, block_s: float) -> Any:
        faults, fate = self._faults, self._faults.next()
        if fate is Fate.UNSENT:
            raise NotSentError("switched on by the test")
        if fate is Fate.LATE:
            faults.late.append([command])
            raise ReplyLostError("switched on by the test")
        reply = await super().call(command, block_s)
        assert faults.model.carry_out(command) == reply
        if fate is not Fate.ANSWERED:
            raise ReplyLostError("switched on by the test")
        return reply


def plain(verb: Any, reply: Any) -> Any:
    """A reply as the model gives it."""
    if verb == "HGETALL":
        return {int(token): raw for token, raw in zip(reply[::2], reply[1::2], strict=True)}
    if verb == "promote":
        return [reply[0], min(reply[1], 1)]
    if verb == "reap":
        return [reply[0], *reply[1:2], *(id_.decode() for id_ in reply[2:])]
    return reply


def reason_and_raw(record: bytes) -> tuple[str, bytes]:
    """What a dead letter's record says."""
    header, _, raw = record.partition(b"\n")
    return json.loads(header)["reason"], raw
