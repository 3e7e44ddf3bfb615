"""RedisRegistration: one incarnation on one queue; takes and settles at least once, in one round trip.

Made by RedisBroker.register, used by the worker's feeder. What was taken lies in Redis under this incarnation until it
is settled, so it survives this process. Never runs a message whose take it cannot account for; never retries a call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncq.broker.failures import NotSentError, ReplyLostError, is_out_of_memory
from asyncq.broker.keys import QueueKeys
from asyncq.broker.ledger import Ledger
from asyncq.broker.scripts import Command, script
from asyncq.broker.settling import DeadLetterLimits, acquittal, completion, is_alone, settlement_command
from asyncq.broker.wire_door import Line, Wire
from asyncq.core.blame import CALM_AWAITED_S, CALM_S
from asyncq.core.clock import mono_s
from asyncq.core.doors import Batch, Taken
from asyncq.core.errors import BrokerUnavailableError, RegistrationLostError
from asyncq.core.settlement import RELEASE, Release

MAX_TAKE: Final = 1000
TOMBSTONE_MS: Final = 3_600_000
LONGEST_MS: Final = int(CALM_AWAITED_S * 1000)
# How long Redis may still believe in a blocking move that ended without a reply, beyond its own time-out.
GHOST_MARGIN_S: Final = 5.0
# Of so many renewals one looks for suspects.
LOOKS_EVERY: Final = 3
_FULL_PAUSE_S: Final = 0.1
# A blocking call of 0 would block for ever.
SHORTEST_BLOCK_S: Final = 0.001


@dataclass(frozen=True, slots=True)
class Limits:
    """What every registration of a broker obeys; explained at RedisBroker."""

    lease_ms: int
    max_message_bytes: int
    dead_letters: DeadLetterLimits


class RedisRegistration:
    """See core.doors.Registration for the promises.

    Args:
        queue: The queue's name.
        wid: This incarnation.
        keys: The queue's keys.
        limits: The broker's limits.
        commands: For everything but waiting; shared.
        line: For waiting; owned.
    """

    def __init__(self, queue: str, wid: str, keys: QueueKeys, limits: Limits, commands: Wire, line: Line) -> None:
        self.queue = queue
        self.wid = wid
        self._keys = keys
        self._limits = limits
        self._commands = commands
        self._line = line
        self._inflight = keys.inflight(wid)
        self._inbox = keys.inbox(wid)
        self._lease = keys.lease(wid)
        self._ledger = Ledger()
        self._strays: deque[tuple[int, bytes]] = deque()
        self._unwanted: deque[tuple[int, bytes]] = deque()
        self._alone: tuple[int, bytes] | None = None
        self._gone = False
        self._compare = self._suspected = False
        self._renewals = 0
        self._since_mono = mono_s()
        self._reconcile = False
        self._ghost_until_mono = 0.0

    async def exchange(self, batch: Batch, room: int, ahead: int, *, alone: bool = False) -> Taken:
        """Settle, then take; see the door."""
        if self._gone:
            raise self._lost(len(batch))
        if self._reconcile:
            await self._find_strays()
        if alone:
            return await self._settle_and_take(batch, 1, 0, alone=True)
        tokens, raws = self._stray_messages(max(room, 0) + max(ahead, 0))
        room, ahead = _shrink(max(room, 0), max(ahead, 0), len(tokens))
        try:
            taken = await self._settle_and_take(batch, room, ahead)
        except BaseException:
            self._strays.extendleft(reversed(list(zip(tokens, raws, strict=True))))
            raise
        if not tokens:
            return taken
        return Taken([*tokens, *taken.tokens], [*raws, *taken.raws], taken.late, taken.oversized, taken.suspects)

    async def _settle_and_take(self, batch: Batch, room: int, ahead: int, *, alone: bool = False) -> Taken:
        tokens = self._ledger.reserve(room + ahead)
        commands = self._settlements(batch)
        commands.append(self._take(tokens.start, room, ahead, alone))
        held = len(self._ledger.held)
        comparing, self._compare = self._compare, False
        self._suspected = False
        if comparing:
            commands.insert(0, ("HLEN", self._inflight))
        acquitted = self._acquitted(batch)
        commands[:0] = acquitted
        try:
            replies = await self._commands.pipeline(commands)
        except BaseException as error:
            if not isinstance(error, NotSentError):
                self._ledger.leave_open(tokens)
                self._reconcile = True
            raise
        del replies[: len(acquitted)]
        # Exact: nothing of ours was under way when HLEN was asked, so a surplus is a take carried out late.
        self._reconcile = comparing and replies.pop(0) > held
        reply = replies.pop()
        if reply[0] == -1:
            self._gone = True
            raise self._lost(len(batch) - sum(replies))
        if reply[0] != tokens.start:
            self._ledger.leave_open(tokens)
            self._reconcile = True
            raise ReplyLostError(f"asked for tokens from {tokens.start}, the reply is for {reply[0]}")
        # Fewer settled than asked while still registered: an earlier write of our own whose reply was lost. Only a reap
        # takes messages from us; it ends the registration first and that never comes back, so nothing here is late.
        self._ledger.settle(batch.completed)
        if batch.others:
            self._ledger.settle([token for token, _, _ in batch.others])
        if self._alone is not None and self._alone[0] not in self._ledger.held:
            self._alone = None
        return self._delivered(tokens, reply, alone)

    def _delivered(self, tokens: range, reply: list[Any], alone: bool) -> Taken:
        raws = reply[3:]
        taken: Sequence[int] = tokens[: len(raws)]
        if alone:
            taken = [-token for token in taken]
            self._alone = (taken[0], raws[0]) if taken else None
            # A suspect that it did not get although one waits: Redis records more in flight here than we know of.
            self._reconcile = self._reconcile or (not taken and reply[2] > 0)
        self._ledger.deliver(taken)
        return Taken(taken, raws, 0, reply[1], reply[2])

    def _settlements(self, batch: Batch) -> list[Command]:
        """One HDEL for what is done, then one script each; releases last and backwards, so that they keep order.

        Each answers how many messages it settled.
        """
        commands = [completion(self._inflight, batch.completed)] if batch.completed else []
        if batch.others:
            ordered = sorted(batch.others, key=lambda other: (isinstance(other[2], Release), -other[0]))
            dead = self._limits.dead_letters
            commands += [
                settlement_command(self._keys, self.wid, token, raw, settlement, dead)
                for token, raw, settlement in ordered
            ]
        return commands

    def _acquitted(self, batch: Batch) -> list[Command]:
        """What ran alone is acquitted if it came to an end of its own in this batch."""
        if self._alone is None:
            return []
        token, raw = self._alone
        ended = [*batch.completed, *(other for other, _, settlement in batch.others if settlement is not RELEASE)]
        return acquittal(self._keys, raw) if token in ended else []

    def _take(self, first: int, room: int, ahead: int, alone: bool) -> Command:
        keys, limits = self._keys, self._limits
        ours = (keys.ready, self._inflight, self._inbox, self._lease, keys.workers)
        return script("take").command(
            (*ours, keys.dead, keys.dead_records, keys.suspects, keys.accused, keys.killed),
            self.wid,
            first,
            room,
            ahead,
            limits.lease_ms,
            limits.max_message_bytes,
            limits.dead_letters.count,
            limits.dead_letters.keep_ms,
            int(alone),
            LONGEST_MS,
            int(mono_s() - self._since_mono >= CALM_S),
        )

    def _lost(self, late: int) -> RegistrationLostError:
        sentence = f"incarnation {self.wid} is not registered on queue {self.queue!r} any more; take a new one"
        return RegistrationLostError(sentence, late)

    async def _find_strays(self) -> None:
        """Ask Redis what we hold. Cost: 1 HGETALL; 1 HDEL if settled messages are still recorded; 1 script per suspect.

        Whatever fails is done by the next exchange: what Redis told once is in the ledger, and will not be told again.
        """
        flat = await self._commands.call("HGETALL", self._inflight)
        recorded = {int(token): raw for token, raw in zip(flat[::2], flat[1::2], strict=True)}
        stray, settled = self._ledger.sort_out(recorded)
        for token in stray:
            found = self._unwanted if is_alone(token) else self._strays
            found.append((token, recorded[token]))
        while self._unwanted:  # to be run alone, and we may not be: back to the suspects, however often a call fails
            await self._commands.call(*self._released(*self._unwanted[0]))
            self._ledger.settle([self._unwanted.popleft()[0]])
        if settled:
            await self._commands.call(*completion(self._inflight, settled))
        self._reconcile = False

    def _released(self, token: int, raw: bytes) -> Command:
        return settlement_command(self._keys, self.wid, token, raw, RELEASE, self._limits.dead_letters)

    def _stray_messages(self, wanted: int) -> tuple[list[int], list[bytes]]:
        """Up to `wanted` messages that an earlier take brought without our knowing."""
        found = [self._strays.popleft() for _ in range(min(wanted, len(self._strays)))]
        return [token for token, _ in found], [raw for _, raw in found]

    async def wait(self, timeout_s: float) -> bool:
        """Block until a message lands in our inbox; see the door. True at once when the next exchange has news."""
        if self._gone or self._strays or self._compare or self._reconcile or self._suspected:
            return True
        timeout_s = max(timeout_s, SHORTEST_BLOCK_S)
        command = ("BLMOVE", self._keys.ready, self._inbox, "LEFT", "RIGHT", f"{timeout_s:.3f}")
        try:
            return await self._line.call(command, timeout_s) is not None
        except BaseException as error:
            if isinstance(error, BrokerUnavailableError) and is_out_of_memory(error):
                # Redis is full and refuses the move, but a take is allowed: look now and then.
                await asyncio.sleep(_FULL_PAUSE_S)
                return True
            if not isinstance(error, NotSentError):
                self._ghost_until_mono = mono_s() + timeout_s + GHOST_MARGIN_S
            raise

    async def wake(self) -> None:
        """End a running `wait`; see the door."""
        await self._line.wake(self._commands)

    async def renew(self) -> bool:
        """Prolong the lease; see the door.

        Sees, too, what rings no bell, so that the next `wait` ends at once and the exchange after it looks: suspects,
        and more in flight here than we hold.
        """
        if self._gone:
            return False
        commands: list[Command] = [("PEXPIRE", self._lease, self._limits.lease_ms), ("HLEN", self._inflight)]
        if self._renewals % LOOKS_EVERY == 0:
            commands.append(("EXISTS", self._keys.suspects, self._keys.accused))
        self._renewals += 1
        replies = await self._commands.pipeline(commands)
        self._suspected = self._suspected or (len(replies) > 2 and replies[2] > 0)
        self._compare = self._compare or replies[1] > len(self._ledger.held)
        alive = bool(replies[0]) or await revive(self._commands, self._keys, self.wid, self._limits.lease_ms)
        self._gone = self._gone or not alive
        return alive

    async def withdraw(self) -> int:
        """Leave in order; see the door. After an unclear end of a wait a tombstone stays for an hour."""
        unclear = self._line.busy or mono_s() < self._ghost_until_mono
        ours = (self._keys.ready, self._inflight, self._inbox, self._lease, self._keys.workers)
        command = script("withdraw").command((*ours, self._keys.suspects), self.wid, TOMBSTONE_MS if unclear else 0)
        count: int = await self._commands.call(*command)
        self._gone = True
        self._strays.clear()
        return count

    async def close(self) -> None:
        """Close the waiting connection. No Redis call."""
        await self._line.close()


def _shrink(room: int, ahead: int, used: int) -> tuple[int, int]:
    """What is left of room and look-ahead after `used`, and within one take."""
    left = max(room - used, 0)
    ahead = max(ahead - max(used - room, 0), 0)
    left = min(left, MAX_TAKE)
    return left, min(ahead, MAX_TAKE - left)


async def revive(commands: Wire, keys: QueueKeys, wid: str, lease_ms: int) -> bool:
    """Give an expired lease back to an incarnation that nobody has reaped. Cost: 1 script."""
    return bool(await commands.call(*script("revive").command((keys.lease(wid), keys.workers), wid, lease_ms)))
