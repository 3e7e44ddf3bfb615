"""Who may be started again now, when the brake engages, and what releases it or makes it give up."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from asyncq.supervisor.brake import Change, RestartGuard
from asyncq.supervisor.child import State
from asyncq.supervisor.events import Degraded
from asyncq.supervisor.policy import Verdict
from asyncq.supervisor.spec import SupervisorSettings

SETTINGS = SupervisorSettings()
COUNTED, USEFUL = Verdict("crash", True), Verdict("crash", False)


@dataclass
class Slot:
    """What the guard looks at."""

    is_worker: bool = True
    state: State = State.BACKOFF
    generation: int = 1
    since_mono: float = 0.0
    settled: int = 0
    child: Any = field(init=False)
    page: Any = field(init=False)

    def __post_init__(self) -> None:
        self.child, self.page = SimpleNamespace(since_mono=self.since_mono), SimpleNamespace(settled=self.settled)


def guard(*slots: Slot) -> RestartGuard:
    return RestartGuard(slots, SETTINGS)  # type: ignore[arg-type] # see Slot


def engaged(*slots: Slot, at: float = 100.0) -> RestartGuard:
    """Six deaths that count, at that moment: one more than `brake_least` allows."""
    made = guard(*slots)
    assert [made.died(COUNTED, at) for _ in range(6)] == [False, False, False, False, False, True]
    return made


def test_first_starts_are_neither_paced_nor_counted() -> None:
    fresh = Slot(generation=0)
    made = guard(fresh)
    for _ in range(50):
        assert made.may_start(fresh, 1.0)
        made.started(fresh, 1.0)
    assert made.may_start(Slot(), 1.0)


def test_restarts_wait_when_ten_were_started_within_the_last_second() -> None:
    slot = Slot()
    made = guard(slot)
    for _ in range(9):
        made.started(slot, 1.0)
    assert made.may_start(slot, 1.5)
    made.started(slot, 1.5)
    assert not made.may_start(slot, 1.9)
    assert made.may_start(slot, 2.1)


def test_deaths_that_count_for_nothing_engage_no_brake() -> None:
    made = guard(Slot())
    assert not any(made.died(USEFUL, 100.0) for _ in range(20))
    assert not made.engaged
    assert made.deaths(100.0) == 0


def test_engaged_brake_says_its_numbers() -> None:
    made = engaged(Slot())
    assert made.degraded(100.0) == Degraded(6, 60.0, 5, 45.0)
    assert not made.died(COUNTED, 101.0)  # it is engaged already


@pytest.mark.parametrize(
    ("expected", "other"),
    [
        (True, Slot()),
        (False, Slot(state=State.STARTING)),
        (False, Slot(state=State.READY, since_mono=101.0)),
        (True, Slot(state=State.READY, since_mono=99.0)),  # it was there before: no probe
    ],
)
def test_under_the_brake_one_worker_at_a_time_is_tried(expected: bool, other: Slot) -> None:
    waiting = Slot()
    made = engaged(waiting, other)
    assert made.may_start(waiting, 103.0) is expected


def test_helpers_start_also_under_the_brake() -> None:
    made = engaged(Slot(state=State.STARTING))
    assert made.may_start(Slot(is_worker=False), 103.0)


@pytest.mark.parametrize(
    ("expected", "slots", "now"),
    [
        (Change.RELEASED, [Slot(state=State.READY, since_mono=101.0, settled=1), Slot()], 102.0),
        (Change.RELEASED, [Slot(state=State.READY, since_mono=101.0), Slot()], 106.0),
        (Change.NONE, [Slot(state=State.READY, since_mono=101.0), Slot()], 105.9),
        (Change.NONE, [Slot(state=State.READY, since_mono=99.0, settled=7), Slot()], 150.0),
        (Change.RELEASED, [Slot(state=State.READY, since_mono=99.0)], 160.1),  # all are there, the deaths forgotten
        (Change.NONE, [Slot(), Slot()], 144.9),
        (Change.CRASH_LOOP, [Slot(), Slot()], 145.0),
        (Change.NONE, [Slot(state=State.STARTING), Slot()], 150.0),  # heard out
    ],
)
def test_brake_is_released_by_a_probe_that_holds_and_gives_up_without_one(
    expected: Change, slots: list[Slot], now: float
) -> None:
    made = engaged(*slots)
    assert made.look(now) is expected
    assert made.engaged is (expected is not Change.RELEASED)


def test_looking_at_a_released_brake_changes_nothing() -> None:
    assert guard(Slot()).look(1_000.0) is Change.NONE


def test_time_in_which_nobody_ran_is_not_held_against_the_probes() -> None:
    made = engaged(Slot())
    made.overslept(60.0)
    assert made.look(204.9) is Change.NONE
    assert made.look(205.0) is Change.CRASH_LOOP


def test_after_a_release_deaths_are_counted_from_nothing() -> None:
    made = engaged(Slot(state=State.READY, since_mono=101.0, settled=1))
    assert made.look(102.0) is Change.RELEASED
    assert [made.died(COUNTED, 103.0) for _ in range(6)] == [False] * 5 + [True]
