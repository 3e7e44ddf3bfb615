"""Shared memory of the whole tree: a page of the supervisor and one page per slot.

Made before the first fork, handed to the arbiter and to whoever reads (admin). Anonymous: no file, no name, gone with
the last process. Never grows and is never locked; snapshots are values.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from asyncq.core.errors import ConfigurationError
from asyncq.supervisor.child import State
from asyncq.supervisor.page import PAGE_BYTES, SlotPage

__all__ = [
    "RESTART_REASONS",
    "Scoreboard",
    "SlotSnapshot",
    "Snapshot",
    "State",
    "SupervisorPage",
    "SupervisorSnapshot",
    "SupervisorState",
]

# Why workers were restarted, in the order of their cells.
RESTART_REASONS: Final = ("crash", "killed", "boot", "external", "hang", "oom")

_BEAT, _STATE, _WANTED, _COMPLETE = range(4)
_RESTARTS: Final = 16


class SupervisorState(IntEnum):
    """How the whole tree is.

    BOOT until every child has been ready at once, DEGRADED while the brake lets only one worker at a time be started,
    DRAINING from the first request to stop, QUIET while no worker is to take messages.
    """

    BOOT = 0
    RUNNING = 1
    DEGRADED = 2
    DRAINING = 3
    QUIET = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSnapshot:
    """One slot as it was read.

    Attributes:
        index: Position in the scoreboard.
        role_index: Position among the children of its role.
        state_age_s: Seconds in this state, STARTING and BACKOFF being one; 0 for a slot that was never used.
        beat_age_s, redis_age_s, take_age_s: Seconds since the loop last beat, Redis last answered, a take was last
            answered; None = never in this child's life.
        excused: It does not beat, and is not to blame, see SlotPage.
        in_flight: Messages held now.
        alone: One of them is a suspect, and it runs alone.
        queues: Of the app, as the last child of this slot published them.
    """

    index: int
    role: str
    role_index: int
    pid: int
    state: State
    state_age_s: float
    beat_age_s: float | None
    redis_age_s: float | None
    take_age_s: float | None
    excused: bool
    in_flight: int
    alone: bool
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSnapshot:
    """The supervisor's own page.

    Attributes:
        beat_age_s: Seconds since the arbiter's last tick.
        wanted: How many workers there should be.
        complete: The first full set of children has been ready.
        restarts: Replaced workers by reason, since the start.
    """

    beat_age_s: float | None
    state: SupervisorState
    wanted: int
    complete: bool
    restarts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The tree at one moment (each cell is exact, two cells may be a moment apart)."""

    supervisor: SupervisorSnapshot
    slots: tuple[SlotSnapshot, ...]


class SupervisorPage:
    """The arbiter's own page; only the arbiter writes."""

    def __init__(self, area: memoryview) -> None:
        self._cells = area.cast("Q")

    def begin(self, wanted: int) -> None:
        """The arbiter starts with this many workers wanted."""
        self._cells[_WANTED] = wanted
        self.beat()

    def beat(self) -> None:
        """The arbiter's loop lives."""
        self._cells[_BEAT] = time.monotonic_ns()

    def set_state(self, state: SupervisorState) -> None:
        """How the tree is now."""
        self._cells[_STATE] = state

    def set_complete(self) -> None:
        """The first full set is ready."""
        self._cells[_COMPLETE] = 1

    def count_restart(self, reason: str) -> None:
        """One more worker is replaced for this reason."""
        self._cells[_RESTARTS + RESTART_REASONS.index(reason)] += 1

    def snapshot(self, now_ns: int) -> SupervisorSnapshot:
        """What stands here."""
        counts = {reason: self._cells[_RESTARTS + at] for at, reason in enumerate(RESTART_REASONS)}
        return SupervisorSnapshot(
            beat_age_s=_age_s(self._cells[_BEAT], now_ns),
            state=SupervisorState(self._cells[_STATE]),
            wanted=self._cells[_WANTED],
            complete=bool(self._cells[_COMPLETE]),
            restarts=MappingProxyType(counts),
        )


class Scoreboard:
    """All pages. Make it before the first fork.

    Args:
        slots: One per child, the helpers included: the sum of all `ChildSpec.count`.
    """

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ConfigurationError(f"scoreboard: expected at least one slot, found {slots}")
        self._memory = memoryview(mmap.mmap(-1, PAGE_BYTES * (slots + 1)))
        self.supervisor = SupervisorPage(self._memory[:PAGE_BYTES])
        self._pages = [SlotPage(i, self._area(i + 1)) for i in range(slots)]

    def __len__(self) -> int:
        return len(self._pages)

    def page(self, index: int) -> SlotPage:
        """The page of one slot: a `core.doors.Slot` for its child."""
        return self._pages[index]

    def snapshot(self, now_ns: int | None = None) -> Snapshot:
        """Read everything. `now_ns`: monotonic, default the present. No system call but the clock."""
        now = time.monotonic_ns() if now_ns is None else now_ns
        return Snapshot(self.supervisor.snapshot(now), tuple(_read(page, now) for page in self._pages))

    def _area(self, number: int) -> memoryview:
        return self._memory[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]


def _read(page: SlotPage, now_ns: int) -> SlotSnapshot:
    return SlotSnapshot(
        index=page.index,
        role=page.role,
        role_index=page.role_index,
        pid=page.pid,
        state=page.state,
        state_age_s=_age_s(page.state_since_ns, now_ns) or 0.0,
        beat_age_s=_age_s(page.beat_ns, now_ns),
        redis_age_s=_age_s(page.redis_seen_ns, now_ns),
        take_age_s=_age_s(page.taken_ns, now_ns),
        excused=page.excused,
        in_flight=page.in_flight,
        alone=page.alone,
        queues=tuple(page.queues),
    )


def _age_s(moment_ns: int, now_ns: int) -> float | None:
    # A beat may be a moment younger than the reader's `now`.
    return max(0, now_ns - moment_ns) / 1e9 if moment_ns else None
