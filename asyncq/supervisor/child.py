"""The life of one child as a pure state machine: (child, event, now) -> (child, action).

The arbiter feeds events and carries the action out; nothing here forks, signals or reads a clock.

    EMPTY -Start-> BACKOFF -Tick-> STARTING -Ready-> READY -Leave-> DRAINING -Exited-> EMPTY
                      ^---------------Exited------------'  (FATAL instead when starting again is hopeless)

Every Spawn action is answered with Spawned or SpawnFailed: at once when the arbiter itself forks, later when the
zygote does. A child that hangs, in its boot or later, is put down: SIGABRT, so that it says where it stands, and
SIGKILL `abort_timeout_s` later.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, assert_never


class State(IntEnum):
    """Where a slot is; the numbers stand in the slot page."""

    EMPTY = 0
    STARTING = 1
    READY = 2
    DRAINING = 3
    BACKOFF = 4
    FATAL = 5


class Level(IntEnum):
    """How urgently a child is asked to leave."""

    NONE = 0
    DRAIN = 1
    CANCEL = 2
    KILL = 3


LEVEL_SIGNALS: Final[Mapping[Level, signal.Signals]] = {
    Level.DRAIN: signal.SIGTERM,
    Level.CANCEL: signal.SIGQUIT,
    Level.KILL: signal.SIGKILL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Time limits of one role, seconds.

    Attributes:
        cancels: False for roles that do not understand SIGQUIT: after the drain comes the kill.
        abort_timeout_s: From SIGABRT to SIGKILL for a child that hangs.
        kill_again_s: A process that survives SIGKILL (uninterruptible sleep) gets another one after this time.
    """

    boot_timeout_s: float
    drain_timeout_s: float
    cancel_timeout_s: float
    cancels: bool
    abort_timeout_s: float = 2.0
    kill_again_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One slot's child.

    Attributes:
        pid: 0 while there is no process.
        level: How urgently it was asked to leave; NONE unless DRAINING.
        since_mono: When it entered STARTING or READY.
        due_mono: When something must happen by itself: the start, the boot time-out, the next level.
        failures: Counted deaths in a row.
        overdue: A time limit passed: the boot time-out while STARTING, the drain deadline while DRAINING.
        put_down: It was sent SIGABRT because it hangs; whatever happens, SIGKILL follows.
        was_ready: It has been READY in this life.
    """

    state: State = State.EMPTY
    pid: int = 0
    level: Level = Level.NONE
    since_mono: float = 0.0
    due_mono: float = math.inf
    failures: int = 0
    overdue: bool = False
    put_down: bool = False
    was_ready: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """The slot is wanted."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed. `may_start`: neither the brake nor the pace forbids a fork now."""

    may_start: bool


@dataclass(frozen=True, slots=True)
class Spawned:
    """The process exists."""

    pid: int


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """There is no process (fork refused); `failures` and `delay_s` as for Exited."""

    failures: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The child said so."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The process is gone.

    Attributes:
        failures: Counted deaths in a row, this one included.
        delay_s: Wait before the next start.
        fatal: Starting again is hopeless.
    """

    failures: int = 0
    delay_s: float = 0.0
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Ask the child to leave, at least this urgently."""

    level: Level


@dataclass(frozen=True, slots=True)
class Hung:
    """The watchdog has given it up."""


@dataclass(frozen=True, slots=True)
class Overslept:
    """The supervisor itself did not run for so long, and perhaps nobody did: time limits move by that."""

    gap_s: float


Event = Start | Tick | Spawned | SpawnFailed | Ready | Exited | Leave | Hung | Overslept


@dataclass(frozen=True, slots=True)
class Spawn:
    """Action: make the process."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Action: send this signal; SIGKILL goes to the whole process group."""

    number: signal.Signals


Action = Spawn | Signal
Step = tuple[Child, Action | None]

_NOT_RUNNING: Final = (State.EMPTY, State.BACKOFF, State.FATAL)


def step(child: Child, event: Event, limits: Limits, now: float) -> Step:
    """One event. An event that means nothing in this state changes nothing.

    Args:
        now: Monotonic seconds.
    """
    match event:
        case Start():
            return _start(child, now)
        case Tick(may_start):
            return _tick(child, may_start, limits, now)
        case Spawned(pid):
            return _spawned(child, pid)
        case SpawnFailed(failures, delay_s):
            return _exited(child, Exited(failures, delay_s), now)
        case Ready():
            return _ready(child, now)
        case Exited():
            return _exited(child, event, now)
        case Leave(level):
            return _leave(child, level, limits, now)
        case Hung():
            return _put_down(child, limits, now)
        case Overslept(gap_s):
            return replace(child, due_mono=child.due_mono + gap_s), None
        case _:  # pragma: no cover - the type checker proves it
            assert_never(event)


def _start(child: Child, now: float) -> Step:
    if child.state in (State.EMPTY, State.FATAL):
        return Child(state=State.BACKOFF, due_mono=now), None
    return child, None


def _tick(child: Child, may_start: bool, limits: Limits, now: float) -> Step:
    if now < child.due_mono:
        return child, None
    if child.state is State.BACKOFF:
        if not may_start:
            return child, None
        due = now + limits.boot_timeout_s
        return Child(state=State.STARTING, since_mono=now, due_mono=due, failures=child.failures), Spawn()
    if child.put_down:
        return replace(child, due_mono=now + limits.kill_again_s), Signal(signal.SIGKILL)
    if child.state is State.STARTING:
        # Boot time-out. It stays STARTING until its exit is seen. Without a process yet: whoever forks it is watched.
        late = replace(child, overdue=True, due_mono=now + limits.kill_again_s)
        return _put_down(late, limits, now) if child.pid else (late, None)
    following = Level.CANCEL if child.level is Level.DRAIN and limits.cancels else Level.KILL
    return _at_level(replace(child, overdue=True), following, limits, now)


def _spawned(child: Child, pid: int) -> Step:
    if child.state not in (State.STARTING, State.DRAINING) or child.pid:
        return child, None
    born = replace(child, pid=pid)
    return born, _signal(born, born.level)  # it was asked to leave before it was there


def _put_down(child: Child, limits: Limits, now: float) -> Step:
    if not child.pid or child.put_down:
        return child, None
    return replace(child, put_down=True, due_mono=now + limits.abort_timeout_s), Signal(signal.SIGABRT)


def _ready(child: Child, now: float) -> Step:
    if child.state is not State.STARTING or child.overdue:
        return child, None
    return replace(child, state=State.READY, since_mono=now, due_mono=math.inf, was_ready=True), None


def _exited(child: Child, end: Exited, now: float) -> Step:
    if child.state in _NOT_RUNNING:
        return child, None
    if child.state is State.DRAINING:
        return Child(), None
    if end.fatal:
        return Child(state=State.FATAL, failures=end.failures), None
    return Child(state=State.BACKOFF, due_mono=now + end.delay_s, failures=end.failures), None


def _leave(child: Child, level: Level, limits: Limits, now: float) -> Step:
    if child.state in _NOT_RUNNING:
        return Child(), None
    if level is Level.CANCEL and not limits.cancels:
        level = Level.DRAIN
    if child.put_down and level is not Level.KILL:  # it could not obey, and its time is running out
        return replace(child, state=State.DRAINING, level=max(level, child.level)), None
    if level > child.level or level is Level.KILL:
        return _at_level(child, level, limits, now)
    return child, None


def _at_level(child: Child, level: Level, limits: Limits, now: float) -> Step:
    wait_s = {
        Level.DRAIN: limits.drain_timeout_s,
        Level.CANCEL: limits.cancel_timeout_s,
        Level.KILL: limits.kill_again_s,
    }[level]
    leaving = replace(child, state=State.DRAINING, level=level, due_mono=now + wait_s)
    return leaving, _signal(leaving, level)


def _signal(child: Child, level: Level) -> Signal | None:
    return Signal(LEVEL_SIGNALS[level]) if child.pid and level else None
