"""RedisBroker: the Broker door on Redis. It makes registrations and poppers and does what maintenance asks.

Made by the roof (the keeper, worker processes, `asyncq.simple`), one per process and event loop. Making it has no
effect; connections open on first use. Never decides whom to reap or when: it only carries it out.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Sequence
from typing import Final

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.keys import queue_keys
from asyncq.broker.popper import RedisPopper
from asyncq.broker.registration import LONGEST_MS, SHORTEST_BLOCK_S, TOMBSTONE_MS, Limits, RedisRegistration, revive
from asyncq.broker.scripts import script
from asyncq.broker.settling import DeadLetterLimits, popped_command
from asyncq.broker.wire_door import Line
from asyncq.broker.wires import async_wire
from asyncq.core.blame import CALM_S, CONVICTING, DEATHS_KEPT_S, Blame
from asyncq.core.codec import MAX_MESSAGE_BYTES
from asyncq.core.doors import Popper, Reaped, Registered, Registration
from asyncq.core.errors import RegistrationLostError
from asyncq.core.settlement import Settlement

MAX_PROMOTED: Final = 500


class RedisBroker:
    """See core.doors.Broker for the promises. How much of the dead is kept stands at DeadLetterLimits.

    Args:
        settings: Where Redis is.
        lease_ms: Life of a lease between renewals; default 15 s.
        max_message_bytes: Larger messages become dead letters without being shipped; default 1 MiB.
        role: What CLIENT LIST shows for the shared connections: worker (default) or keeper.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        *,
        lease_ms: int = 15_000,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        role: str = "worker",
    ) -> None:
        self._limits = Limits(lease_ms, max_message_bytes, DeadLetterLimits())
        self._role = role
        self._commands = async_wire(settings, role)
        self._bells: dict[str, Line] = {}
        self._nothing_waits: set[str] = set()  # queues, as far as the last promotion saw

    def incarnation(self) -> str:
        """`<hostname>-<boot and pid namespace>:<pid>:<random>`, never used before. No Redis call."""
        return f"{host_id()}:{os.getpid()}:{os.urandom(6).hex()}"

    async def register(self, queue: str, wid: str) -> Registration:
        """Enter an incarnation; see the door.

        Raises:
            RegistrationLostError: it was reaped before; take a new one.
        """
        keys = queue_keys(queue)
        command = script("register").command((keys.lease(wid), keys.workers), wid, self._limits.lease_ms)
        if not await self._commands.call(*command):
            raise RegistrationLostError(f"incarnation {wid} was reaped from queue {queue!r}; take a new one")
        line = self._commands.line(wid)
        return RedisRegistration(queue, wid, keys, self._limits, self._commands, line)

    def popper(self, queues: Sequence[str]) -> Popper:
        """An at-most-once consumer; see the door."""
        return RedisPopper(queues, self._commands, self._commands.line("popper"))

    async def settle_popped(self, queue: str, others: Sequence[tuple[bytes, Settlement]]) -> None:
        """Retries, releases and dead letters of popped messages; see the door.

        Nothing fences them: after a lost reply, doing it again may do it twice, not doing it may lose it.
        Releases keep their order at the head of the queue.
        """
        keys, batch = queue_keys(queue), os.urandom(8).hex()
        commands = [
            popped_command(keys, f"{batch}:{k}", raw, settlement, self._limits.dead_letters)
            for k, (raw, settlement) in enumerate(others)
        ]
        wanted = [command for command in reversed(commands) if command is not None]
        if wanted:
            await self._commands.pipeline(wanted)

    async def renew(self, queue: str, wid: str) -> bool:
        """Prolong another process's lease; see the door. Cost: 1 PEXPIRE; 1 script more when it had expired."""
        keys = queue_keys(queue)
        if await self._commands.call("PEXPIRE", keys.lease(wid), self._limits.lease_ms):
            return True
        return await revive(self._commands, keys, wid, self._limits.lease_ms)

    async def promote(self, queue: str, limit: int = 200) -> tuple[int, int | None]:
        """Move what is due; see the door. `limit` is at most 500."""
        keys = queue_keys(queue)
        if queue in self._nothing_waits and not await self._commands.call("EXISTS", keys.scheduled):
            return 0, None
        count = max(1, min(limit, MAX_PROMOTED))
        command = script("promote").command((keys.scheduled, keys.payloads, keys.ready), count)
        moved, next_ms = await self._commands.call(*command)
        if next_ms < 0:
            self._nothing_waits.add(queue)
            return moved, None
        self._nothing_waits.discard(queue)
        return moved, next_ms

    async def due_bell(self, queue: str, timeout_s: float) -> bool:
        """Block until something is due earlier than all else; see the door. Sometimes rings for nothing."""
        line = self._bells.get(queue)
        if line is None:
            line = self._bells[queue] = self._commands.line(f"{self._role}-due")
        timeout_s = max(timeout_s, SHORTEST_BLOCK_S)
        return await line.call(("BLPOP", queue_keys(queue).due, f"{timeout_s:.3f}"), timeout_s) is not None

    async def registered(self, queue: str) -> list[Registered]:
        """Everybody in the register; see the door."""
        keys = queue_keys(queue)
        flat = await self._commands.call("ZRANGE", keys.workers, 0, -1, "WITHSCORES")
        rows = [(wid.decode(), int(float(score))) for wid, score in zip(flat[::2], flat[1::2], strict=True)]
        if not rows:
            return []
        leased = await self._leased([keys.lease(wid) for wid, score in rows if score == 0])
        return [Registered(wid, score, keys.lease(wid) in leased) for wid, score in rows]

    async def _leased(self, leases: list[str]) -> set[str]:
        """Which of these exist: one question about all, and about each only when some do not."""
        if not leases or await self._commands.call("EXISTS", *leases) == len(leases):
            return set(leases)
        found = await self._commands.pipeline([("EXISTS", lease) for lease in leases])
        return {lease for lease, exists in zip(leases, found, strict=True) if exists}

    async def reap(
        self, queue: str, wid: str, *, forced: bool, blame: Blame = Blame.NOBODY, culprit: int = 0
    ) -> Reaped | None:
        """Hand back what an incarnation held and fence it off; see the door."""
        keys, dead = queue_keys(queue), self._limits.dead_letters
        theirs = (keys.ready, keys.inflight(wid), keys.inbox(wid), keys.lease(wid), keys.workers)
        blaming = (keys.suspects, keys.accused, keys.crashes, keys.crash_counts, keys.killed)
        points = (int(blame), int(Blame.KILLED), CONVICTING, int(DEATHS_KEPT_S * 1000), int(CALM_S * 1000), LONGEST_MS)
        command = script("reap").command(
            (*theirs, *blaming, keys.dead, keys.dead_records),
            wid,
            int(forced),
            TOMBSTONE_MS,
            *points,
            dead.count,
            dead.keep_ms,
            culprit,
        )
        first, *rest = await self._commands.call(*command)
        return None if first < 0 else Reaped(first, rest[0], tuple(id_.decode() for id_ in rest[1:]))

    async def close(self) -> None:
        """Close every connection but those of registrations and poppers, which close their own. No Redis call."""
        for line in self._bells.values():
            await line.close()
        await self._commands.close()


def host_id() -> str:
    """This host and boot (and container): its name and six hex digits, without signs that keys reserve."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:64] or "host"
    marks = []
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            marks.append(file.read().strip())
        marks.append(str(os.stat("/proc/self/ns/pid").st_ino))
    except OSError:  # no procfs (macOS): the name alone tells hosts apart
        pass
    return f"{name}-{hashlib.sha256(' '.join(marks).encode()).hexdigest()[:6]}"
