"""Whether a child's event loop hangs: pure decisions from beats and a look at the process; one thin reader of /proc.

Called by the arbiter once per child and tick. Decides to warn (a dump is asked for) and to abort (SIGABRT; the SIGKILL
behind it is `child`'s); sends no signal and reads no clock. A child beats from its loop itself, so no beat means that
the loop does not turn. What is not held against it: time in which this process did not run either (`Attention`), a
process that is given no CPU, and one that somebody holds in a debugger.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from asyncq.supervisor.child import State

# A child that wanted to run and got less of a CPU than this is starved: others are to blame for its silence.
STARVED_SHARE: Final = 0.1
# A starved child is waited for this many times longer.
STARVED_PATIENCE: Final = 10
# A tick that comes later than it was asked for by more than this proves that we did not run, and nobody else may have.
LATE_S: Final = 1.0

_WATCHED: Final = (State.READY, State.DRAINING)
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Decision(Enum):
    """What is to be done about one child now. WARN comes once per stall, ABORT once per child."""

    NONE = "none"
    WARN = "warn"
    ABORT = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class HangLimits:
    """Seconds without a beat.

    Attributes:
        warn_s: Then it is worth a warning and a dump; never later than half of `hang_s`.
        hang_s: Then it hangs (`--watchdog`).
    """

    warn_s: float = 2.0
    hang_s: float = 20.0

    @property
    def warn_after_s(self) -> float:
        """When the warning comes, and with it the first look at the process."""
        return min(self.warn_s, self.hang_s / 2)


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at a process.

    Attributes:
        letter: Its state as /proc says it: R runs or wants to, S sleeps, D waits for a disk, T stopped, t traced, ...
        cpu_s: CPU seconds that it has used in its life.
    """

    letter: str
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Stall:
    """What is remembered of a child that does not beat.

    Attributes:
        since_mono: Its last beat, or later: see `age_s` and TRACED in `judge`.
        first: The first sample of this stall, None when there was none.
        first_mono: When that was.
        warned: The warning was given.
        excused: Its silence is not held against it: it is starved, or traced.
    """

    since_mono: float
    first: Sample | None
    first_mono: float
    warned: bool
    excused: bool = False


def age_s(beat_mono: float, running_since_mono: float, now: float) -> float:
    """For how long the loop has been silent while we were there to hear it."""
    return max(0.0, now - max(beat_mono, running_since_mono))


def judge(
    before: Stall | None, since_mono: float, now: float, sample: Sample | None, limits: HangLimits
) -> tuple[Decision, Stall]:
    """Judge a child that has been silent for longer than `limits.warn_after_s`.

    Args:
        before: What was remembered at the last look at the same stall; None at the first.
        since_mono: Since when it is silent, see `age_s`.
        sample: How the process is now; None when that cannot be known: then it counts as not starved.

    A process that was stopped (T) is a hang like any other: the keeper keeps its leases, so its messages would wait
    for ever. One that is traced (t) is left alone, and its time begins anew when it is let go.
    """
    stall = before or Stall(since_mono, sample, now, warned=False)
    if sample is not None and sample.letter == "t":
        return Decision.NONE, Stall(now, None, now, warned=stall.warned, excused=True)
    if stall.first is None and sample is not None:
        stall = replace(stall, first=sample, first_mono=now)
    stall = replace(stall, excused=_is_starved(stall, now, sample))
    silent_s = now - max(since_mono, stall.since_mono)
    if silent_s >= limits.warn_after_s and not stall.warned:
        return Decision.WARN, replace(stall, warned=True)  # always first: nobody is aborted without a word
    patience = STARVED_PATIENCE if stall.excused else 1
    return (Decision.ABORT if silent_s >= limits.hang_s * patience else Decision.NONE), stall


def _is_starved(stall: Stall, now: float, sample: Sample | None) -> bool:
    """It wants to run and was hardly let since the first look. Before a second look nobody can say so."""
    if sample is None or stall.first is None or sample.letter != "R":
        return False
    return sample.cpu_s - stall.first.cpu_s < STARVED_SHARE * (now - stall.first_mono)


class Attention:
    """Since when this process has been running without a gap.

    A suspended machine, a paused container, SIGSTOP for the whole tree: then our own tick is late, too, and the beats
    that are missing prove nothing.

    Attributes:
        running_since_mono: The end of the last gap.
    """

    def __init__(self, now: float) -> None:
        self.running_since_mono = now
        self._expected_mono = now

    def sleeps(self, now: float, for_s: float) -> None:
        """The loop is about to wait for at most so long."""
        self._note(now)
        self._expected_mono = now + for_s

    def wakes(self, now: float) -> float:
        """It goes on. Returns by how much it is later than it should be, 0 if that is next to nothing."""
        late_s = self._note(now)
        self._expected_mono = now
        return late_s

    def _note(self, now: float) -> float:
        late_s = now - self._expected_mono
        if late_s <= LATE_S:
            return 0.0
        self.running_since_mono = now
        return late_s


def read_proc(pid: int) -> Sample | None:
    """How a process is; None when it is gone, or where there is no procfs. Cost: one small read."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            # The name in the second field may hold spaces and brackets: fields are counted from behind its end.
            fields = file.read().rpartition(")")[2].split()
        return Sample(fields[0], (int(fields[11]) + int(fields[12])) / _TICKS_PER_S)
    except (OSError, IndexError, ValueError):
        return None


class Watchdog:
    """Remembers the stalls of all children, by pid.

    Args:
        limits: See HangLimits.
        attention: The arbiter's own; told by the arbiter when it sleeps and wakes.
        read: How a process is looked at; only for those that are silent for longer than a warning takes.
    """

    def __init__(
        self, limits: HangLimits, attention: Attention, read: Callable[[int], Sample | None] = read_proc
    ) -> None:
        self._limits, self._attention, self._read = limits, attention, read
        self._stalls: dict[int, tuple[int, Stall]] = {}  # each with the beat that it began with
        self._aborted: set[int] = set()

    def look(self, pid: int, state: State, beat_ns: int, now: float) -> Decision:
        """Look at one child.

        Args:
            pid: Its process; 0 = none.
            state: READY and DRAINING are watched.
            beat_ns: Its last beat, monotonic; 0 = it has never beaten, and is not watched.
            now: Monotonic seconds.
        """
        if not beat_ns or state not in _WATCHED or pid in self._aborted:
            return Decision.NONE
        since_mono = now - age_s(beat_ns / 1e9, self._attention.running_since_mono, now)
        if now - since_mono < self._limits.warn_after_s:
            self._stalls.pop(pid, None)
            return Decision.NONE
        remembered = self._stalls.get(pid)
        before = remembered[1] if remembered is not None and remembered[0] == beat_ns else None
        decision, stall = judge(before, since_mono, now, self._read(pid), self._limits)
        self._stalls[pid] = (beat_ns, stall)
        if decision is Decision.ABORT:
            self._aborted.add(pid)
        return decision

    def silent_s(self, beat_ns: int, now: float) -> float:
        """For the log: how long it has been silent."""
        return round(age_s(beat_ns / 1e9, self._attention.running_since_mono, now), 3)

    def excuses(self, pid: int) -> bool:
        """It is silent, and at the last look that was not its fault."""
        remembered = self._stalls.get(pid)
        return remembered is not None and remembered[1].excused and pid not in self._aborted

    def aborted(self, pid: int) -> bool:
        """It was to be aborted: its end is that of a hang, whatever it says."""
        return pid in self._aborted

    def forget(self, pid: int) -> None:
        """Its end was seen."""
        self._aborted.discard(pid)
        self._stalls.pop(pid, None)
