"""Live, ready, started: one table of circumstances each, with the sentence that people read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from asyncq.admin.health import FleetView, HealthLimits, Verdict, WorkerView, live, ready, started
from asyncq.supervisor.scoreboard import State

LIMITS = HealthLimits()


def worker(index: int = 0, **changes: Any) -> WorkerView:
    fine = WorkerView(slot=index, index=index, pid=100 + index, state=State.READY, state_age_s=300.0, beat_age_s=0.2)
    return replace(fine, **changes)


def fleet(*workers: WorkerView, **changes: Any) -> FleetView:
    fine = FleetView(
        workers=workers,
        wanted=4,
        arbiter_beat_age_s=0.1,
        draining=False,
        quiet=False,
        started=True,
        braked=False,
        redis_age_s=1.0,
        restarts={},
    )
    return replace(fine, **changes)


FOUR = tuple(worker(index) for index in range(4))
HUNG = {"beat_age_s": 21.0}
DOWN: dict[str, Any] = {"pid": 0, "state": State.BACKOFF, "beat_age_s": None}


@pytest.mark.parametrize(
    ("view", "ok", "reason"),
    [
        (fleet(*FOUR), True, "4 of 4 workers beat"),
        (fleet(*FOUR[:3], worker(3, **HUNG)), True, "3 of 4 workers beat"),
        (fleet(*FOUR, redis_age_s=9_999.0), True, "4 of 4 workers beat"),
        (fleet(*FOUR, redis_age_s=None), True, "4 of 4 workers beat"),
        (fleet(*FOUR, braked=True), True, "4 of 4 workers beat"),
        (fleet(*FOUR, arbiter_beat_age_s=10.0), True, "4 of 4"),
        (fleet(*FOUR, arbiter_beat_age_s=10.1), False, "the supervisor last beat 10 s ago"),
        (fleet(*(worker(i, **HUNG) for i in range(4))), False, "no worker beat in the last 20 s"),
        (fleet(*(worker(i, excused=i == 2, **HUNG) for i in range(4))), True, "1 of 4 workers are given no CPU"),
        (fleet(), False, "none is starting within 60 s"),
        (fleet(worker(state=State.STARTING, state_age_s=59.0, beat_age_s=None)), True, "1 of 4 workers are starting"),
        (fleet(worker(state=State.STARTING, state_age_s=61.0, beat_age_s=None)), False, "no worker beat"),
        (fleet(worker(state_age_s=3.0, **DOWN)), True, "1 of 4 workers are starting"),
        (fleet(worker(state_age_s=61.0, **DOWN)), False, "no worker beat"),
        (fleet(worker(state_age_s=3.0, **{**DOWN, "state": State.FATAL})), False, "no worker beat"),
        (fleet(worker(**{**DOWN, "state": State.FATAL, "beat_age_s": 0.1})), False, "no worker beat"),
        (fleet(draining=True), True, "draining"),
        (fleet(draining=True, arbiter_beat_age_s=11.0), False, "the supervisor last beat"),
        (fleet(worker(beat_age_s=None, state_age_s=0.1), wanted=1), True, "1 of 1 workers are starting"),
        (fleet(worker(beat_age_s=None, state_age_s=21.0), wanted=1), False, "no worker beat in the last"),
    ],
)
def test_liveness(view: FleetView, ok: bool, reason: str) -> None:
    verdict = live(view, LIMITS)
    assert verdict.ok is ok
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("view", "ok", "reason"),
    [
        (fleet(*FOUR), True, "4 of 4 workers are ready"),
        (fleet(*FOUR[:2]), True, "2 of 4 workers are ready"),
        (fleet(*FOUR[:1]), False, "1 of 4 workers are ready, at least 2 are needed"),
        (fleet(*FOUR[:1], wanted=3), False, "1 of 3 workers are ready, at least 2 are needed"),
        (fleet(*FOUR[:1], wanted=1), True, "1 of 1 workers are ready"),
        (fleet(wanted=0), False, "0 of 0 workers are ready, at least 1 are needed"),
        (fleet(*FOUR[:1], *(worker(i, **HUNG) for i in (1, 2, 3))), False, "1 of 4 workers are ready"),
        (fleet(*FOUR[:1], *(worker(i, state=State.STARTING) for i in (1, 2, 3))), False, "1 of 4 workers are ready"),
        (fleet(*FOUR, draining=True), False, "draining"),
        (fleet(*FOUR, quiet=True), False, "quiet"),
        (fleet(*FOUR, braked=True), False, "crash loop suspected: one worker at a time is tried"),
        (fleet(*FOUR, redis_age_s=None), False, "Redis has not answered yet"),
        (fleet(*FOUR, redis_age_s=10.6), False, "Redis last answered 11 s ago"),
        (fleet(*FOUR, redis_age_s=10.0), True, "4 of 4 workers are ready"),
        (fleet(*FOUR, started=False), True, "4 of 4 workers are ready"),
    ],
)
def test_readiness(view: FleetView, ok: bool, reason: str) -> None:
    verdict = ready(view, LIMITS)
    assert verdict.ok is ok
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("view", "ok", "reason"),
    [
        (fleet(), True, "the first full set of workers was ready"),
        (fleet(*FOUR[:3], started=False), False, "3 of 4 workers are ready for the first time"),
        (fleet(*FOUR, started=False), False, "4 of 4 workers are ready, but a helper process is not"),
    ],
)
def test_start(view: FleetView, ok: bool, reason: str) -> None:
    assert started(view) == Verdict(ok, reason)
