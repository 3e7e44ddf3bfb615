"""The child's state machine: every transition as a table, and no way to get stuck."""

import math
import signal
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.supervisor.child import (
    Action,
    Child,
    Event,
    Exited,
    Hung,
    Leave,
    Level,
    Limits,
    Overslept,
    Ready,
    Signal,
    Spawn,
    Spawned,
    SpawnFailed,
    Start,
    State,
    Tick,
    step,
)

LIMITS = Limits(boot_timeout_s=60, drain_timeout_s=25, cancel_timeout_s=3, cancels=True)
HELPER = Limits(boot_timeout_s=60, drain_timeout_s=5, cancel_timeout_s=3, cancels=False)
NOW = 1000.0

TERM, QUIT, KILL = Signal(signal.SIGTERM), Signal(signal.SIGQUIT), Signal(signal.SIGKILL)
ABRT = Signal(signal.SIGABRT)

EMPTY = Child()
BACKOFF = Child(state=State.BACKOFF, due_mono=NOW, failures=2)
FORKING = Child(state=State.STARTING, since_mono=NOW, due_mono=NOW + 60)
STARTING = Child(state=State.STARTING, pid=7, since_mono=NOW, due_mono=NOW + 60)
LATE = Child(state=State.STARTING, pid=7, since_mono=NOW, due_mono=NOW + 2, overdue=True, put_down=True)
READY = Child(state=State.READY, pid=7, since_mono=NOW, was_ready=True)
HUNG = Child(state=State.READY, pid=7, since_mono=NOW, due_mono=NOW + 2, was_ready=True, put_down=True)
UNBORN = Child(state=State.DRAINING, level=Level.CANCEL, since_mono=NOW, due_mono=NOW + 3)
UNBORN_KILLED = replace(UNBORN, level=Level.KILL, due_mono=NOW + 8, overdue=True)
FATAL = Child(state=State.FATAL)


def draining(level: Level, due: float, **more: bool) -> Child:
    return Child(state=State.DRAINING, pid=7, level=level, since_mono=NOW, due_mono=due, was_ready=True, **more)


def starting(due: float, pid: int = 7, **more: Any) -> Child:
    return Child(state=State.STARTING, pid=pid, since_mono=NOW, due_mono=due, **more)


DRAIN, CANCEL, KILLED = (
    draining(Level.DRAIN, NOW + 25),
    draining(Level.CANCEL, NOW + 3),
    draining(Level.KILL, NOW + 5),
)

TABLE: list[tuple[str, Child, Event, float, Child, Action | None]] = [
    ("wanted", EMPTY, Start(), NOW, Child(state=State.BACKOFF, due_mono=NOW), None),
    ("wanted again", FATAL, Start(), NOW, Child(state=State.BACKOFF, due_mono=NOW), None),
    ("already there", READY, Start(), NOW, READY, None),
    ("nobody ran, boot", STARTING, Overslept(9.0), NOW + 70, starting(NOW + 69), None),
    ("nobody ran, drain", DRAIN, Overslept(9.0), NOW + 30, draining(Level.DRAIN, NOW + 34), None),
    ("nobody ran, ready", READY, Overslept(9.0), NOW + 30, READY, None),
    ("start", BACKOFF, Tick(True), NOW, starting(NOW + 60, pid=0, failures=2), Spawn()),
    ("held back", BACKOFF, Tick(False), NOW, BACKOFF, None),
    ("too early", BACKOFF, Tick(True), NOW - 1, BACKOFF, None),
    ("nothing is due", READY, Tick(True), NOW + 1e6, READY, None),
    ("forked", FORKING, Spawned(7), NOW, STARTING, None),
    ("forked, not expected", EMPTY, Spawned(7), NOW, EMPTY, None),
    ("fork refused", FORKING, SpawnFailed(3, 2.0), NOW, Child(state=State.BACKOFF, due_mono=NOW + 2, failures=3), None),
    ("ready", STARTING, Ready(), NOW + 1, Child(state=State.READY, pid=7, since_mono=NOW + 1, was_ready=True), None),
    ("ready twice", READY, Ready(), NOW + 1, READY, None),
    ("ready too late", LATE, Ready(), NOW + 61, LATE, None),
    ("boot time-out", STARTING, Tick(True), NOW + 60, starting(NOW + 62, overdue=True, put_down=True), ABRT),
    ("boot time-out again", LATE, Tick(True), NOW + 2, starting(NOW + 7, overdue=True, put_down=True), KILL),
    ("boot time-out, no process", FORKING, Tick(True), NOW + 60, starting(NOW + 65, pid=0, overdue=True), None),
    ("hangs", READY, Hung(), NOW, HUNG, ABRT),
    ("hangs still", HUNG, Hung(), NOW + 1, HUNG, None),
    ("hangs, too early to kill", HUNG, Tick(True), NOW + 1, HUNG, None),
    ("hangs, killed", HUNG, Tick(True), NOW + 2, replace(HUNG, due_mono=NOW + 7), KILL),
    ("hangs in its boot", STARTING, Hung(), NOW, starting(NOW + 2, put_down=True), ABRT),
    ("hangs in the drain", DRAIN, Hung(), NOW, draining(Level.DRAIN, NOW + 2, put_down=True), ABRT),
    ("hangs, nobody there", FORKING, Hung(), NOW, FORKING, None),
    ("hangs, asked to leave", HUNG, Leave(Level.CANCEL), NOW, draining(Level.CANCEL, NOW + 2, put_down=True), None),
    ("hangs, killed at once", HUNG, Leave(Level.KILL), NOW, draining(Level.KILL, NOW + 5, put_down=True), KILL),
    ("hangs, died", HUNG, Exited(1, 0.5), NOW, Child(state=State.BACKOFF, due_mono=NOW + 0.5, failures=1), None),
    ("leave, not forked yet", FORKING, Leave(Level.CANCEL), NOW, UNBORN, None),
    ("forked, but not wanted any more", UNBORN, Spawned(7), NOW, replace(UNBORN, pid=7), QUIT),
    ("never forked, not wanted any more", UNBORN, SpawnFailed(1, 0.0), NOW, EMPTY, None),
    ("late, not forked yet", UNBORN, Tick(False), NOW + 3, UNBORN_KILLED, None),
    ("forked twice", STARTING, Spawned(8), NOW, STARTING, None),
    ("died", READY, Exited(1, 0.5), NOW, Child(state=State.BACKOFF, due_mono=NOW + 0.5, failures=1), None),
    ("died hopeless", STARTING, Exited(1, 0.5, fatal=True), NOW, Child(state=State.FATAL, failures=1), None),
    ("died, nobody there", EMPTY, Exited(1, 0.5), NOW, EMPTY, None),
    ("died draining", DRAIN, Exited(1, 0.5, fatal=True), NOW, EMPTY, None),
    ("drain", READY, Leave(Level.DRAIN), NOW, DRAIN, TERM),
    ("cancel at once", READY, Leave(Level.CANCEL), NOW, CANCEL, QUIT),
    ("kill at once", READY, Leave(Level.KILL), NOW, KILLED, KILL),
    ("drain again", DRAIN, Leave(Level.DRAIN), NOW + 1, DRAIN, None),
    ("drain, then cancel", DRAIN, Leave(Level.CANCEL), NOW, CANCEL, QUIT),
    ("cancel, then drain", CANCEL, Leave(Level.DRAIN), NOW, CANCEL, None),
    ("kill, then kill", KILLED, Leave(Level.KILL), NOW, KILLED, KILL),
    ("drain deadline", DRAIN, Tick(False), NOW + 25, draining(Level.CANCEL, NOW + 28, overdue=True), QUIT),
    ("cancel deadline", CANCEL, Tick(False), NOW + 3, draining(Level.KILL, NOW + 8, overdue=True), KILL),
    ("kill again", KILLED, Tick(False), NOW + 5, draining(Level.KILL, NOW + 10, overdue=True), KILL),
    ("leave while waiting", BACKOFF, Leave(Level.DRAIN), NOW, EMPTY, None),
    ("leave when hopeless", FATAL, Leave(Level.DRAIN), NOW, EMPTY, None),
    ("leave when empty", EMPTY, Leave(Level.KILL), NOW, EMPTY, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("child", "event", "now", "expected", "action"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_child_moves_as_the_table_says(
    child: Child, event: Event, now: float, expected: Child, action: Action | None
) -> None:
    assert step(child, event, LIMITS, now) == (expected, action)


def test_helper_gets_no_sigquit_when_its_drain_deadline_passes() -> None:
    drained, action = step(READY, Leave(Level.CANCEL), HELPER, NOW)
    assert (drained.level, action) == (Level.DRAIN, TERM)
    assert step(drained, Leave(Level.CANCEL), HELPER, NOW) == (drained, None)
    killed, action = step(drained, Tick(True), HELPER, NOW + 5)
    assert (killed.level, killed.overdue, action) == (Level.KILL, True, KILL)


def test_failures_are_kept_over_a_start() -> None:
    started, _ = step(BACKOFF, Tick(True), LIMITS, NOW)
    assert started.failures == 2


EVENTS = st.one_of(
    st.just(Start()),
    st.booleans().map(Tick),
    st.just(Ready()),
    st.builds(Exited, st.integers(0, 9), st.floats(0, 30), st.booleans()),
    st.sampled_from([Level.DRAIN, Level.CANCEL, Level.KILL]).map(Leave),
    st.just(Hung()),
    st.floats(1, 1e5).map(Overslept),
    st.integers(1, 9).map(Spawned),
    st.just(SpawnFailed(1, 0.1)),
)


def _world_allows(child: Child, event: Event, asked_for: bool) -> bool:
    """Only a process that exists can end or speak, and only one that was asked for comes into being."""
    if isinstance(event, Spawned | SpawnFailed):
        return asked_for
    return child.pid > 0 or not isinstance(event, Ready | Exited)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 40)), max_size=60), st.sampled_from([LIMITS, HELPER]), st.booleans())
def test_slot_can_always_be_started_and_emptied_when_anything_has_happened(
    happened: list[tuple[Event, float]], limits: Limits, at_once: bool
) -> None:
    child, now, asked_for = Child(), 0.0, False
    for event, pause_s in happened:
        now += pause_s
        if not _world_allows(child, event, asked_for):
            continue
        child, action = step(child, event, limits, now)
        asked_for = isinstance(action, Spawn) or (asked_for and not isinstance(event, Spawned | SpawnFailed))
        if isinstance(action, Spawn) and at_once:
            child, action = step(child, Spawned(2), limits, now)
            asked_for = False
        assert not isinstance(action, Signal) or child.pid, "no signal goes to pid 0"
        assert child.pid == 0 or not asked_for, "a slot never waits for a second process"
        if child.state in (State.EMPTY, State.FATAL, State.BACKOFF):
            assert child.pid == 0
            assert not asked_for
        # Whoever waits for something waits with a deadline; only these three may wait for ever.
        assert math.isfinite(child.due_mono) or child.state in (State.EMPTY, State.READY, State.FATAL)

    if asked_for:
        child, action = step(child, Spawned(2), limits, now)
    # A process that ignores everything but SIGKILL is gone after a bounded time, and the slot is usable again.
    child, action = step(child, Leave(Level.DRAIN), limits, now)
    for _ in range(4):
        if action == KILL:
            child, action = step(child, Exited(), limits, now)
        elif math.isfinite(child.due_mono):
            now = max(now, child.due_mono)
            child, action = step(child, Tick(True), limits, now)
    assert child == EMPTY
    child, _ = step(child, Start(), limits, now)
    assert step(child, Tick(True), limits, now)[1] == Spawn()
