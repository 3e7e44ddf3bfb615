"""When the watchdog warns and aborts: never a child that beats, is starved, or was stopped together with us."""

import os
import signal
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.supervisor.child import State
from asyncq.supervisor.watchdog import Attention, Decision, HangLimits, Sample, Watchdog, age_s, read_proc
from tests.support.states import wait_until

PID = 4711


class Case:
    """One READY child in front of a watchdog that looks once a second, or when it is told to."""

    def __init__(self, limits: HangLimits | None = None, letter: str = "R", share: float = 1.0) -> None:
        self.now = 100.0
        self.beat = 100.0
        self.letter, self.share = letter, share
        self.cpu_s = 7.0
        self.reads = 0
        self.procfs = True
        self.state = State.READY
        self.attention = Attention(self.now)
        self.dog = Watchdog(limits or HangLimits(), self.attention, self._read)
        self.decisions: list[tuple[float, Decision]] = []

    def _read(self, pid: int) -> Sample | None:
        assert pid == PID
        self.reads += 1
        return Sample(self.letter, self.cpu_s) if self.procfs else None

    def look(self, after_s: float = 1.0) -> Decision:
        self.attention.sleeps(self.now, after_s)
        self.now += after_s
        self.cpu_s += self.share * after_s
        self.attention.wakes(self.now)
        decision = self.dog.look(PID, self.state, int(self.beat * 1e9), self.now)
        if decision is not Decision.NONE:
            self.decisions.append((round(self.now - self.beat, 6), decision))
        return decision

    def looks(self, count: int, after_s: float = 1.0) -> list[tuple[float, Decision]]:
        for _ in range(count):
            self.look(after_s)
        return self.decisions


WARNED, ABORTED = (2.0, Decision.WARN), (20.0, Decision.ABORT)


@pytest.mark.parametrize("letter", ["R", "S", "D", "T"])
def test_a_silent_child_is_warned_once_and_aborted_once(letter: str) -> None:
    """S is time.sleep, D a dead disk, T somebody's SIGSTOP: its messages wait for ever in each of them."""
    case = Case(letter=letter)
    assert case.looks(60) == [WARNED, ABORTED]
    assert case.dog.aborted(PID)
    case.dog.forget(PID)
    assert not case.dog.aborted(PID)


def test_nobody_is_looked_at_while_he_beats() -> None:
    case = Case()
    for _ in range(100):
        case.look()
        case.beat = case.now
    assert (case.decisions, case.reads) == ([], 0)


def test_the_next_stall_is_warned_of_again() -> None:
    case = Case()
    case.looks(5)
    case.beat = case.now
    assert case.looks(5) == [WARNED, WARNED]


def test_a_stall_right_behind_another_one_is_one_of_its_own() -> None:
    """The beat between them was not seen by any look: what is remembered is not held against it."""
    case = Case()
    case.looks(19)
    case.beat = case.now - 2.5
    case.decisions.clear()
    assert case.looks(10) == [(3.5, Decision.WARN)]


@pytest.mark.parametrize("state", [State.EMPTY, State.STARTING, State.BACKOFF, State.FATAL])
def test_only_children_at_work_are_watched(state: State) -> None:
    case = Case()
    case.state = state
    assert case.looks(60) == []


def test_a_draining_child_is_watched() -> None:
    case = Case()
    case.state = State.DRAINING
    assert case.looks(60) == [WARNED, ABORTED]


def test_a_child_that_never_beat_is_not_watched() -> None:
    case = Case()
    case.beat = 0.0
    assert case.looks(60) == []


def test_a_starved_child_is_waited_for_ten_times_longer() -> None:
    case = Case(letter="R", share=0.05)
    case.looks(10)
    assert case.dog.excuses(PID)
    assert case.looks(240) == [WARNED, (200.0, Decision.ABORT)]
    assert not case.dog.excuses(PID)


def test_a_child_that_sleeps_is_not_starved() -> None:
    case = Case(letter="S", share=0.0)
    case.looks(10)
    assert not case.dog.excuses(PID)
    assert case.looks(50) == [WARNED, ABORTED]


def test_nobody_counts_as_starved_when_there_is_no_procfs() -> None:
    case = Case(letter="R", share=0.0)
    case.procfs = False
    assert case.looks(60) == [WARNED, ABORTED]


def test_a_starved_child_that_gets_its_cpu_and_does_not_beat_is_aborted() -> None:
    case = Case(letter="R", share=0.0)
    assert case.looks(40) == [WARNED]
    case.share = 1.0
    assert case.looks(10)[1:] == [(45.0, Decision.ABORT)]  # a tenth of the 43 s since the first look


def test_a_traced_child_is_left_alone_and_its_time_begins_anew() -> None:
    case = Case(letter="t")
    assert case.looks(300) == []
    assert case.dog.excuses(PID)
    case.letter = "S"
    case.look()
    assert not case.dog.excuses(PID)
    assert case.looks(59) == [(302.0, Decision.WARN), (320.0, Decision.ABORT)]


def test_the_warning_comes_first_when_the_limit_is_short() -> None:
    assert Case(HangLimits(hang_s=1.0)).looks(9, 0.25) == [(0.5, Decision.WARN), (1.0, Decision.ABORT)]
    assert Case(HangLimits(hang_s=0.5)).looks(9) == [(1.0, Decision.WARN), (2.0, Decision.ABORT)]


def test_nobody_is_warned_when_we_did_not_run_either() -> None:
    """Suspend, SIGSTOP of the tree, docker pause: our own tick is late, too."""
    case = Case()
    case.look()
    case.attention.sleeps(case.now, 1.0)
    case.now += 3600.0
    assert case.attention.wakes(case.now)
    assert case.dog.look(PID, case.state, int(case.beat * 1e9), case.now) is Decision.NONE
    assert case.looks(1) == []
    stalled_at = case.now - 1.0
    case.looks(30)
    assert [(at + case.beat - stalled_at, what) for at, what in case.decisions] == [WARNED, ABORTED]


def test_a_pause_in_the_middle_of_a_stall_begins_it_anew() -> None:
    case = Case()
    case.looks(19)
    case.attention.sleeps(case.now, 1.0)
    case.now += 60.0
    case.attention.wakes(case.now)
    case.decisions.clear()
    assert case.looks(1) == []
    assert [what for _, what in case.looks(30)] == [Decision.WARN, Decision.ABORT]


def test_a_stop_between_two_waits_is_seen_as_well() -> None:
    attention = Attention(0.0)
    attention.sleeps(0.0, 1.0)
    assert not attention.wakes(1.9)
    attention.sleeps(1.95, 0.5)
    assert not attention.wakes(2.0)  # earlier than asked for: a signal came
    attention.sleeps(60.0, 1.0)
    assert attention.running_since_mono == 60.0
    assert not attention.wakes(61.0)


def test_age_counts_from_the_later_of_beat_and_gap() -> None:
    assert age_s(10.0, 5.0, 12.0) == 2.0
    assert age_s(10.0, 11.0, 12.0) == 1.0
    assert age_s(13.0, 5.0, 12.0) == 0.0


LOOKS = st.lists(st.tuples(st.floats(0.01, 1.0), st.sampled_from("RSDTtZ?"), st.floats(0.0, 1.0)), max_size=120)


@given(LOOKS, st.floats(0.0, 1.99))
def test_whoever_beats_often_enough_is_never_warned(looks: list[tuple[float, str, float]], oldest_s: float) -> None:
    case = Case()
    for after_s, case.letter, case.share in looks:
        case.beat = max(case.beat, case.now + after_s - oldest_s)
        case.look(after_s)
    assert case.decisions == []


@given(st.lists(st.floats(0.01, 1.0), min_size=400, max_size=400), st.sampled_from("RSDTZ"), st.floats(0.2, 1.0))
def test_whoever_never_beats_again_and_uses_cpu_is_aborted_in_time(
    pauses: list[float], letter: str, share: float
) -> None:
    case = Case(letter=letter, share=share)
    aborted_at = first(lambda after_s: case.look(after_s) is Decision.ABORT, pauses)
    if aborted_at is None:
        assert case.now - case.beat < 21.0  # the looks ended before it was due
    else:
        assert 20.0 <= case.now - case.beat < 20.0 + pauses[aborted_at] + 1e-6


def first(happens: Callable[[float], bool], pauses: Iterable[float]) -> int | None:
    return next((at for at, after_s in enumerate(pauses) if happens(after_s)), None)


def test_a_real_process_is_read() -> None:
    pid = os.fork()
    if pid == 0:
        while True:
            pass
    try:
        wait_until(lambda: shown(pid).cpu_s > 0.02, what="it uses CPU")
        assert shown(pid).letter == "R"
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: shown(pid).letter == "T", what="it is stopped")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert read_proc(pid) is None


def shown(pid: int) -> Sample:
    sample = read_proc(pid)
    assert sample is not None
    return sample
