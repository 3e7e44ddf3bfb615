"""When a process runs suspects alone: at once without work, now and then beside it, never for long."""

import math
from random import Random

import pytest

from asyncq.worker import solitude
from asyncq.worker.solitude import PATIENCE_S, PAUSE_S, SESSION_S, Solitude

NOW = 1000.0


@pytest.fixture
def alone() -> Solitude:
    """Three suspects wait in q; the process is busy."""
    made = Solitude(Random(1))
    made.heard("q", 3, NOW)
    made.looked(5)
    return made


def due(made: Solitude) -> float:
    """The moment at which a busy process begins to make room."""
    assert NOW <= made.next_mono <= NOW + PAUSE_S
    return made.next_mono


def test_nothing_is_held_back_and_nothing_is_due_when_no_suspect_waits() -> None:
    made = Solitude(Random(1))
    made.looked(0)
    assert (made.holds(NOW), made.turn("q", 0, NOW), made.next_mono) == (False, False, math.inf)
    made.heard("q", 1, NOW)
    made.heard("q", 0, NOW)
    assert (made.holds(NOW + 99), made.turn("q", 0, NOW + 99), made.next_mono) == (False, False, math.inf)


def test_an_idle_process_takes_a_suspect_at_once(alone: Solitude) -> None:
    assert not alone.turn("q", 0, NOW)
    alone.looked(0)
    assert alone.turn("q", 0, NOW)
    assert not alone.turn("q", 1, NOW)
    assert not alone.turn("other", 0, NOW)


def test_nothing_else_is_taken_while_a_suspect_runs(alone: Solitude) -> None:
    alone.looked(0)
    alone.began(NOW)
    assert [True] * 3 == [alone.holds(NOW + later_s) for later_s in (0, SESSION_S + 0.1, 500)]
    assert not alone.turn("q", 0, NOW)
    assert alone.next_mono == math.inf


def test_a_busy_process_makes_room_when_the_time_has_come(alone: Solitude) -> None:
    begins = due(alone)
    assert not alone.holds(begins - 0.001)
    assert not alone.turn("q", 0, begins - 0.001)
    assert alone.holds(begins)
    assert alone.turn("q", 0, begins)
    assert not alone.turn("q", 1, begins)


def test_it_gives_up_after_its_patience_and_is_twice_as_patient_the_next_time(alone: Solitude) -> None:
    now, patience_s = due(alone), PATIENCE_S
    for _ in range(4):
        assert alone.holds(now)
        assert alone.next_mono == now + patience_s
        assert alone.holds(now + patience_s - 0.001)
        assert not alone.holds(now + patience_s)
        assert max(PAUSE_S / 2, patience_s) <= alone.next_mono - now - patience_s <= max(PAUSE_S, patience_s)
        now, patience_s = alone.next_mono, 2 * patience_s


def test_its_patience_is_the_first_again_when_it_has_run_one(alone: Solitude) -> None:
    begins = due(alone)
    alone.holds(begins)
    alone.holds(begins + PATIENCE_S)
    alone.began(begins + 50)
    alone.ended(begins + 50 + 2 * SESSION_S)
    now = alone.next_mono
    alone.holds(now)
    assert alone.next_mono == now + PATIENCE_S


def test_one_follows_the_other_until_the_session_ends_and_then_ordinary_work_comes_first(alone: Solitude) -> None:
    alone.looked(0)
    alone.began(NOW)
    alone.ended(NOW + 0.5)
    assert alone.holds(NOW + 0.5)
    assert alone.turn("q", 0, NOW + 0.5)
    alone.began(NOW + 0.5)
    alone.ended(NOW + SESSION_S)
    assert not alone.holds(NOW + SESSION_S)
    assert not alone.turn("q", 0, NOW + SESSION_S)
    alone.looked(0)
    assert alone.turn("q", 0, NOW + SESSION_S)


def test_a_session_ends_when_the_last_suspect_has_run(alone: Solitude) -> None:
    alone.looked(0)
    alone.heard("q", 0, NOW)
    alone.began(NOW)
    alone.ended(NOW + 0.1)
    assert not alone.holds(NOW + 0.1)


def test_it_does_not_insist_when_a_suspect_was_refused(alone: Solitude) -> None:
    alone.looked(0)
    alone.refused(NOW)
    assert not alone.turn("q", 0, NOW)
    assert not alone.holds(NOW)
    assert NOW + PAUSE_S / 2 <= alone.next_mono <= NOW + PAUSE_S


def test_a_busy_process_gives_suspects_no_more_than_a_fifth_of_its_time() -> None:
    assert solitude.SESSION_S / (solitude.SESSION_S + solitude.PAUSE_S / 2) < 0.2
