"""One line says what the fleet is doing."""

import pytest

from asyncq.supervisor.child import Child, Level, State
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.slots import ManagedSlot, make_slots
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings
from asyncq.supervisor.status import Counts, census, sentence

FULL = {"wanted": 4, "ready": 4, "present": 4, "tasks": 17}


@pytest.mark.parametrize(
    ("expected", "counts"),
    [
        ("4 of 4 workers ready", FULL),
        ("0 of 4 workers ready", FULL | {"ready": 0}),
        ("draining: 3 workers, 17 tasks, 12 s left", FULL | {"present": 3, "left_s": 12.3}),
        ("draining: 1 worker, 1 task, 0 s left", FULL | {"present": 1, "tasks": 1, "left_s": -2.0}),
        ("draining: the workers are gone", FULL | {"present": 0, "left_s": 3.0}),
        (
            "crash loop suspected: 7 deaths, one worker at a time is tried; 0 of 4 workers ready",
            FULL | {"ready": 0, "deaths": 7},
        ),
        ("quiet: nothing is taken, 17 tasks running; 4 of 4 workers ready", FULL | {"quiet": True}),
        ("draining: 4 workers, 17 tasks, 9 s left", FULL | {"quiet": True, "deaths": 9, "left_s": 9.0}),
    ],
)
def test_the_sentence_says_what_matters_most(expected: str, counts: dict[str, object]) -> None:
    assert expected == sentence(Counts(**counts))  # type: ignore[arg-type]


SETTINGS = SupervisorSettings()  # 25 s to drain, 3 s to cancel, 5 s each for the reaps and for a stage of helpers


def slots(*workers: Child, helper: Child | None = None) -> list[ManagedSlot]:
    specs = [
        ChildSpec("keeper", "m:f", stop_stage=1),
        ChildSpec("admin", "m:f", stop_stage=2),
        ChildSpec("zygote", "m:f"),
        ChildSpec("worker", "m:f", count=len(workers)),
    ]
    made = make_slots(specs, Scoreboard(3 + len(workers)), SETTINGS)
    for slot, child in zip(made, [*[helper or Child()] * 3, *workers], strict=True):
        slot.child = child
        slot.page.set_load(5 if child.pid else 0, 0)
    return made


UP = Child(state=State.READY, pid=7)
BOOTING = Child(state=State.STARTING, pid=8)
AWAY = Child(state=State.BACKOFF)


def test_workers_are_counted_and_helpers_are_not() -> None:
    counted = census(slots(UP, UP, BOOTING, AWAY, helper=UP), SETTINGS, 100.0, leaving=False, deaths=3, quiet=True)
    assert counted == Counts(wanted=4, ready=2, present=3, tasks=15, deaths=3, quiet=True, rest_s=15.0)


def leaving(level: Level, due_mono: float = 110.0, *, put_down: bool = False) -> Child:
    return Child(state=State.DRAINING, pid=9, level=level, due_mono=due_mono, put_down=put_down)


@pytest.mark.parametrize(
    ("expected_s", "workers"),
    [
        (13.0, [leaving(Level.DRAIN)]),
        (10.0, [leaving(Level.CANCEL)]),
        (10.0, [leaving(Level.DRAIN, put_down=True)]),
        (0.0, [leaving(Level.KILL)]),
        (3.0, [leaving(Level.DRAIN, 99.0)]),  # its time is over, and cancelling begins in this turn
        (15.0, [leaving(Level.CANCEL), leaving(Level.DRAIN, 112.0), leaving(Level.KILL)]),
        (0.0, [Child()]),
    ],
)
def test_the_time_left_is_that_of_the_last_worker_in_the_worst_case(expected_s: float, workers: list[Child]) -> None:
    assert census(slots(*workers), SETTINGS, 100.0, leaving=True).left_s == expected_s


def test_stages_of_helpers_that_are_gone_take_no_time() -> None:
    assert census(slots(leaving(Level.KILL)), SETTINGS, 100.0, leaving=True).rest_s == 5.0
