"""Live, ready, started: one table of circumstances each, with the sentence that people read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from asyncq.admin.health import FleetView, HealthLimits, WorkerView, live, ready, started

LIMITS = HealthLimits()


def worker(index: int = 0, **changes: Any) -> WorkerView:
    fine = WorkerView(index=index, pid=100 + index, state="ready", state_age_s=300.0, beat_age_s=0.2, redis_age_s=1.0)
    return replace(fine, **changes)


def fleet(*workers: WorkerView, **changes: Any) -> FleetView:
    fine = FleetView(workers=workers, wanted=4, arbiter_beat_age_s=0.1, draining=False, started=True)
    return replace(fine, **changes)


FOUR = tuple(worker(index) for index in range(4))
HUNG = {"beat_age_s": 21.0}
DOWN: dict[str, Any] = {"pid": 0, "state": "backoff", "beat_age_s": None, "redis_age_s": None}


@pytest.mark.parametrize(
    ("view", "ok", "reason"),
    [
        (fleet(*FOUR), True, "4 of 4 workers beat"),
        (fleet(*FOUR[:3], worker(3, **HUNG)), True, "3 of 4 workers beat"),
        (fleet(*(worker(i, redis_age_s=9_999.0) for i in range(4))), True, "4 of 4 workers beat"),
        (fleet(*(worker(i, redis_age_s=None) for i in range(4))), True, "4 of 4 workers beat"),
        (fleet(*FOUR, arbiter_beat_age_s=10.0), True, "4 of 4"),
        (fleet(*FOUR, arbiter_beat_age_s=10.1), False, "the supervisor last beat 10 s ago"),
        (fleet(*(worker(i, **HUNG) for i in range(4))), False, "no worker beat in the last 20 s"),
        (fleet(), False, "none is starting within 60 s"),
        (fleet(worker(state="starting", state_age_s=59.0, beat_age_s=None)), True, "1 of 4 workers are starting"),
        (fleet(worker(state="starting", state_age_s=61.0, beat_age_s=None)), False, "no worker beat"),
        (fleet(worker(state_age_s=3.0, **DOWN)), True, "1 of 4 workers are starting"),
        (fleet(worker(state_age_s=61.0, **DOWN)), False, "no worker beat"),
        (fleet(worker(state_age_s=3.0, **{**DOWN, "state": "fatal"})), False, "no worker beat"),
        (fleet(worker(**{**DOWN, "state": "fatal", "beat_age_s": 0.1})), False, "no worker beat"),
        (fleet(draining=True), True, "draining"),
        (fleet(draining=True, arbiter_beat_age_s=11.0), False, "the supervisor last beat"),
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
        (fleet(*FOUR[:1], *(worker(i, state="starting") for i in (1, 2, 3))), False, "1 of 4 workers are ready"),
        (fleet(*FOUR, draining=True), False, "draining"),
        (fleet(*(worker(i, redis_age_s=None) for i in range(4))), False, "Redis has not answered any worker yet"),
        (fleet(*(worker(i, redis_age_s=10.6) for i in range(4))), False, "Redis last answered 11 s ago"),
        (fleet(*FOUR[:1], *(worker(i, redis_age_s=60.0) for i in (1, 2, 3))), True, "4 of 4 workers are ready"),
        (fleet(*FOUR, started=False), True, "4 of 4 workers are ready"),
    ],
)
def test_readiness(view: FleetView, ok: bool, reason: str) -> None:
    verdict = ready(view, LIMITS)
    assert verdict.ok is ok
    assert reason in verdict.reason


def test_started_once_the_first_full_set_was_ready_and_for_ever() -> None:
    assert started(fleet()).ok
    verdict = started(fleet(*FOUR[:3], started=False))
    assert not verdict.ok
    assert "3 of 4 workers are ready for the first time" in verdict.reason
