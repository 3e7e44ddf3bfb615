"""The reaper: hands back what incarnations held whose process is gone without anybody having seen it die.

Two ways to know: its pid no longer exists on this host (a supervisor was killed with all its children: its successor
sees that at once), and a lease that was missing in every one of several samples (machine loss). Expiry alone never
reaps: it only makes suspect.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from typing import Final

from asyncq.core import clock
from asyncq.core.blame import Blame
from asyncq.core.contact import Contact
from asyncq.core.doors import Broker, Observer, Reaped, Registered
from asyncq.core.errors import BrokerError, BrokerRefusedError
from asyncq.maintenance.loops import forever

log = logging.getLogger("asyncq.maintenance")

SAMPLE_S: Final = 1.0
SAMPLES: Final = 6
LONGEST_GAP_S: Final = 2.0
TOMBSTONE_S: Final = 30.0


class Suspicion:
    """Counts in how many samples in a row a lease was missing. Pure: the samples and the time are given."""

    def __init__(self) -> None:
        self._missing: dict[str, int] = {}
        self._sampled_mono = 0.0

    def sample(self, rows: list[Registered], now_mono: float) -> list[str]:
        """Take one sample and say who is to be reaped.

        A gap between samples (a stopped process, an unreachable Redis) proves nothing about others: start over.
        """
        if now_mono - self._sampled_mono > LONGEST_GAP_S:
            self._missing.clear()
        self._sampled_mono = now_mono
        suspects = {row.wid for row in rows if row.tombstone_ms == 0 and not row.leased}
        self._missing = {wid: self._missing.get(wid, 0) + 1 for wid in suspects}
        return [wid for wid, count in self._missing.items() if count >= SAMPLES]

    def forget(self) -> None:
        """A sample failed."""
        self._missing.clear()


def pid_of(wid: str) -> tuple[str, int]:
    """(host, pid) of an incarnation; pid 0 when the id was not made by us."""
    host, _, rest = wid.rpartition(":")[0].rpartition(":")
    return host, int(rest) if rest.isdigit() else 0


def process_exists(pid: int) -> bool:
    """Whether a process with this id runs on this host. One that ended and was not collected by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):  # no procfs, or it ended just now: the next round knows
        return True


class Reaper:
    """One queue's reaper. Any number may run: a reap is atomic and its second call finds nothing.

    Args:
        broker: Reaps.
        queue: The queue.
        observer: Is told how many messages were handed back.
        contact: Waits while Redis is away.
        exists: Whether a pid runs on this host.
        supervised: Incarnations that are left to whoever saw their process end, as long as their lease holds.
    """

    def __init__(
        self,
        broker: Broker,
        queue: str,
        observer: Observer,
        contact: Contact,
        exists: Callable[[int], bool] = process_exists,
        supervised: Collection[str] = (),
    ) -> None:
        self._broker, self._queue, self._observer, self._contact, self._exists = (
            broker,
            queue,
            observer,
            contact,
            exists,
        )
        self._supervised = supervised
        self._suspicion = Suspicion()
        self._drained_mono: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled. Cost: Broker.registered every second; 1 script per tombstone every 30 s."""
        await forever(self._round, self._contact)

    async def _round(self) -> float:
        try:
            rows = await self._broker.registered(self._queue)
            self._contact.made()
            await self._reap_gone(rows)
            for wid in self._suspicion.sample(rows, clock.mono_s()):
                await self._reap(wid, forced=False, why="lease expired", blame=Blame.LOST)
            await self._reap_tombstones(rows)
        except BrokerError:
            self._suspicion.forget()
            raise
        return SAMPLE_S

    async def _reap_gone(self, rows: list[Registered]) -> None:
        """Whoever ran on this host and is no more cannot come back."""
        host, _ = pid_of(self._broker.incarnation())
        for row in rows:
            theirs, pid = pid_of(row.wid)
            if row.tombstone_ms or row.wid in self._supervised:
                continue
            if theirs == host and pid and not self._exists(pid):
                await self._reap(row.wid, forced=True, why="process is gone", blame=Blame.KILLED)

    async def _reap_tombstones(self, rows: list[Registered]) -> None:
        """A late blocking move may still land behind a reap: drain tombstones now and then, drop the expired ones."""
        now_mono = clock.mono_s()
        tombstones = {row.wid for row in rows if row.tombstone_ms}
        self._drained_mono = {wid: at for wid, at in self._drained_mono.items() if wid in tombstones}
        for wid in tombstones:
            if now_mono - self._drained_mono.setdefault(wid, now_mono - TOMBSTONE_S + SAMPLES) >= TOMBSTONE_S:
                self._drained_mono[wid] = now_mono
                await self._reap(wid, forced=True, why="late arrival", blame=Blame.NOBODY)

    async def _reap(self, wid: str, *, forced: bool, why: str, blame: Blame) -> None:
        try:
            reaped = await self._broker.reap(self._queue, wid, forced=forced, blame=blame) or Reaped()
        except BrokerRefusedError as error:  # spoils only this incarnation
            self._contact.refused(error)
            return
        tell(self._observer, self._queue, reaped, "redelivered" if forced else "redelivered_lease_expired")
        if reaped.count or why != "late arrival":
            log.warning("reaped", extra={"queue": self._queue, "wid": wid, "why": why, **shown(reaped)})


def tell(observer: Observer, queue: str, reaped: Reaped, metric: str) -> None:
    """Count what a reap found, and name the dead letters it made."""
    again = reaped.handed_back + reaped.suspected
    if again:
        observer.counted(metric, queue, again)
    for dead in reaped.dead:
        observer.counted("poison", queue, 1)
        log.warning("dead letter", extra={"queue": queue, "reason": "poison", "dead_letter": dead})


def shown(reaped: Reaped) -> dict[str, int]:
    """What a reap found, for the log."""
    return {"handed_back": reaped.handed_back, "suspected": reaped.suspected, "dead": len(reaped.dead)}
