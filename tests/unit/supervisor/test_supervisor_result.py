"""Which exit code a supervisor's life comes to, and in whose words it gives up."""

import pytest

from asyncq.supervisor.child import Child, State
from asyncq.supervisor.events import GaveUp
from asyncq.supervisor.policy import Exit
from asyncq.supervisor.result import Result
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.slots import ManagedSlot, make_slots
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings

DRAINED = Child(state=State.DRAINING, pid=7, was_ready=True)
LATE = Child(state=State.DRAINING, pid=7, was_ready=True, overdue=True)
NEVER_READY = Child(state=State.DRAINING, pid=7)


def slots() -> tuple[ManagedSlot, ManagedSlot, ManagedSlot]:
    """Two workers and a helper."""
    specs = [ChildSpec("worker", "x:y", count=2), ChildSpec("admin", "x:y")]
    first, second, helper = make_slots(specs, Scoreboard(3), SupervisorSettings())
    return first, second, helper


@pytest.mark.parametrize(
    ("who", "gone", "code", "expected"),
    [
        ("worker", DRAINED, 0, 0),
        ("worker", DRAINED, 75, 75),
        ("worker", DRAINED, -9, 75),
        ("worker", LATE, 0, 75),
        ("worker", NEVER_READY, -15, 0),
        ("admin", LATE, -9, 0),
        ("admin", DRAINED, 1, 0),
    ],
)
def test_exit_is_75_only_when_a_worker_has_left_work_behind(who: str, gone: Child, code: int, expected: int) -> None:
    worker, _, helper = slots()
    result = Result()
    result.stopped(worker if who == "worker" else helper, gone, Exit(code))
    assert result.exit_code(reaps_unconfirmed=False) == expected


def test_exit_is_75_when_reaps_stay_unconfirmed() -> None:
    assert Result().exit_code(reaps_unconfirmed=True) == 75


def test_first_reason_to_give_up_holds_when_more_follow() -> None:
    worker, other, _ = slots()
    worker.last_words = "no such app"
    result = Result()
    assert result.first_boot_failed(worker, Exit(3)) == GaveUp(3, ("no such app",), "no such app")
    assert result.first_boot_failed(other, Exit(2)) is None
    assert result.crash_loop([worker, other]) is None
    result.stopped(worker, LATE, Exit(-9))
    assert result.exit_code(reaps_unconfirmed=True) == 3


def test_first_boot_is_told_with_its_exit_code_when_the_child_said_nothing() -> None:
    _, other, _ = slots()
    sentence = "worker[1] ended with exit code 2 before a worker was ready"
    assert Result().first_boot_failed(other, Exit(2)) == GaveUp(2, (sentence,), sentence)


@pytest.mark.parametrize(
    ("said", "words", "end"),
    [
        (("broken", "broken"), ("broken",), "Last words: broken"),
        (("one", "two"), ("one", "two"), "Last words: one; two"),
        (("", "two"), ("two",), "Last words: two"),
        (("", ""), (), "Last words: they said nothing; see their output above"),
    ],
)
def test_crash_loop_is_told_in_the_workers_words_each_once(
    said: tuple[str, str], words: tuple[str, ...], end: str
) -> None:
    workers = slots()[:2]
    for worker, sentence in zip(workers, said, strict=True):
        worker.last_words = sentence
    result = Result()
    reason = result.crash_loop(workers)
    assert reason is not None
    assert (reason.exit_code, reason.last_words) == (1, words)
    assert reason.sentence.endswith(end)
    assert result.exit_code(reaps_unconfirmed=False) == 1
