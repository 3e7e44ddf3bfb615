"""What a death means, how long to wait, when to stop hoping."""

import random
from dataclasses import replace

import pytest

from asyncq.supervisor.child import Child, Exited, State
from asyncq.supervisor.policy import (
    Brake,
    Exit,
    Verdict,
    Window,
    delay_s,
    exited,
    failures_after,
    judge,
    probe_holds,
    redis_given_up,
)
from asyncq.supervisor.scoreboard import RESTART_REASONS
from asyncq.supervisor.spec import SupervisorSettings

SETTINGS = SupervisorSettings()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-9, "killed by SIGKILL"),
        (-11, "killed by SIGSEGV"),
        (-40, "killed by signal 40"),
    ],
)
def test_cause_is_readable_when_a_process_ends(code: int, text: str) -> None:
    assert str(Exit(code)) == text


@pytest.mark.parametrize(
    ("expected", "hung", "oom", "settled", "alone"),
    [
        (Verdict("hang", True), True, False, 0, False),
        (Verdict("hang", False), True, False, 1, False),
        (Verdict("oom", True), False, True, 0, False),
        (Verdict("oom", False), False, True, 0, True),  # of a suspect, which it ran alone for that very reason
    ],
)
def test_hang_and_lack_of_memory_are_told_apart(
    expected: Verdict, hung: bool, oom: bool, settled: int, alone: bool
) -> None:
    assert judge(Exit(-9), asked=False, was_ready=True, settled=settled, alone=alone, hung=hung, oom=oom) == expected


@pytest.mark.parametrize(("expected", "give_up_s", "now"), [(False, 0.0, 1e9), (False, 30.0, 39.9), (True, 30.0, 40.0)])
def test_redis_is_given_up_only_when_somebody_said_after_how_long(expected: bool, give_up_s: float, now: float) -> None:
    assert redis_given_up(10.0, now, replace(SETTINGS, redis_give_up_s=give_up_s)) is expected


@pytest.mark.parametrize(
    ("code", "asked", "was_ready", "settled", "expected"),
    [
        (-9, True, True, 0, Verdict("asked", False)),
        (0, False, False, 0, Verdict("boot", True)),
        (1, False, False, 0, Verdict("boot", True)),
        (0, False, True, 0, Verdict("external", True)),
        (75, False, True, 1, Verdict("external", False)),
        (-15, False, True, 1, Verdict("external", False)),
        (1, False, True, 0, Verdict("crash", True)),
        (1, False, True, 1, Verdict("crash", False)),
        (-9, False, True, 0, Verdict("killed", True)),
        (-9, False, True, 5, Verdict("killed", False)),
    ],
)
def test_death_counts_only_when_nothing_was_settled(
    code: int, asked: bool, was_ready: bool, settled: int, expected: Verdict
) -> None:
    assert judge(Exit(code), asked=asked, was_ready=was_ready, settled=settled) == expected


@pytest.mark.parametrize(
    ("before", "counted", "ready_for_s", "expected"),
    [(0, True, 0.0, 1), (3, True, 0.0, 4), (3, False, 0.0, 0), (3, True, 60.0, 1), (3, True, 59.9, 4)],
)
def test_failures_start_anew_when_a_life_was_useful_or_long(
    before: int, counted: bool, ready_for_s: float, expected: int
) -> None:
    assert failures_after(before, Verdict("crash", counted), ready_for_s, SETTINGS) == expected


@pytest.mark.parametrize("was_ready", [True, False])
@pytest.mark.parametrize("code", [0, 1, 75, -9, -15])
def test_each_reason_of_a_restart_can_be_counted(code: int, was_ready: bool) -> None:
    assert judge(Exit(code), asked=False, was_ready=was_ready, settled=0).reason in RESTART_REASONS


@pytest.mark.parametrize(
    ("code", "hopeful", "fatal"),
    [
        (2, False, True),
        (3, False, True),
        (73, False, True),
        (3, True, False),
        (0, False, False),
        (1, False, False),
        (75, False, False),
        (-15, False, False),
    ],
)
def test_start_is_hopeless_only_when_no_worker_was_ready_and_another_try_cannot_cure_it(
    code: int, hopeful: bool, fatal: bool
) -> None:
    booting = Child(state=State.STARTING, pid=7)
    end = exited(booting, Exit(code), Verdict("boot", True), 1.0, SETTINGS, random.Random(1), hopeful=hopeful)
    assert end == Exited(failures=1, delay_s=0.0, fatal=fatal)


@pytest.mark.parametrize(("was_ready", "failures"), [(True, 1), (False, 5)])
def test_life_is_healthy_only_when_it_was_ready_for_long(was_ready: bool, failures: int) -> None:
    old = Child(state=State.READY, pid=7, since_mono=100.0, failures=4, was_ready=was_ready)
    end = exited(old, Exit(1), Verdict("crash", True), 160.0, SETTINGS, random.Random(1), hopeful=True)
    assert end.failures == failures
    assert (end.delay_s == 0.0) == (failures == 1)


@pytest.mark.parametrize(
    ("failures", "longest"), [(2, 0.5), (3, 1), (4, 2), (5, 4), (6, 8), (7, 16), (8, 30), (9, 30), (5000, 30)]
)
def test_wait_doubles_up_to_the_cap_when_deaths_follow_each_other(failures: int, longest: float) -> None:
    rng = random.Random(1)
    drawn = [delay_s(failures, SETTINGS, rng) for _ in range(200)]
    assert longest / 2 <= min(drawn) < longest * 0.55
    assert longest * 0.95 < max(drawn) <= longest


@pytest.mark.parametrize("failures", [0, 1])
def test_replacement_starts_at_once_when_it_is_the_first(failures: int) -> None:
    assert delay_s(failures, SETTINGS, random.Random(1)) == 0.0


def test_window_forgets_when_moments_are_too_old() -> None:
    window = Window(10.0).add(100.0).add(105.0)
    assert [window.count(now) for now in (105.0, 109.9, 110.0, 115.0)] == [2, 2, 1, 0]
    assert window.add(112.0).moments == (105.0, 112.0)


@pytest.mark.parametrize(("workers", "limit"), [(1, 5), (2, 5), (3, 6), (16, 32)])
def test_brake_engages_when_more_than_its_limit_die_in_the_window(workers: int, limit: int) -> None:
    brake = Brake.for_workers(workers, SETTINGS)
    for number in range(limit):
        brake = brake.died(float(number))
        assert brake.since_mono is None
    brake = brake.died(50.0)
    assert brake.since_mono == 50.0
    assert brake.died(51.0).since_mono == 50.0
    assert brake.released() == Brake.for_workers(workers, SETTINGS)


def test_brake_stays_released_when_deaths_are_spread_out() -> None:
    brake = Brake.for_workers(1, SETTINGS)
    for number in range(100):
        brake = brake.died(number * 12.0)
    assert brake.since_mono is None


def test_brake_gives_up_when_it_was_engaged_for_long() -> None:
    assert not Brake(5, Window(60.0)).gives_up(1e9, 45.0)
    engaged = Brake(5, Window(60.0), since_mono=100.0)
    assert not engaged.gives_up(144.9, 45.0)
    assert engaged.gives_up(145.0, 45.0)


@pytest.mark.parametrize(
    ("ready_since", "settled", "now", "expected"),
    [(99.0, 9, 200.0, False), (101.0, 0, 105.9, False), (101.0, 0, 106.0, True), (101.0, 1, 101.1, True)],
)
def test_probe_holds_when_it_settles_or_lives(ready_since: float, settled: int, now: float, expected: bool) -> None:
    assert probe_holds(ready_since, settled, 100.0, now, 5.0) is expected
