"""How long nobody speaks to Redis: growth, limits, jitter."""

from random import Random

import pytest

from asyncq.core.backoff import Backoff


class LongestDraw(Random):
    """Draws the upper limit."""

    def uniform(self, a: float, b: float) -> float:
        return b


class ShortestDraw(Random):
    """Draws the lower limit."""

    def uniform(self, a: float, b: float) -> float:
        return a


def test_the_limit_doubles_up_to_the_cap() -> None:
    backoff = Backoff(LongestDraw(), first_s=0.5, cap_s=3.0)

    assert [0.5, 1.0, 2.0, 3.0, 3.0] == [backoff.next_s() for _ in range(5)]


def test_nobody_waits_longer_than_two_seconds_unless_said_otherwise() -> None:
    backoff = Backoff(LongestDraw())

    assert [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0] == pytest.approx([backoff.next_s() for _ in range(8)])


def test_the_jitter_begins_at_zero() -> None:
    backoff = Backoff(ShortestDraw())

    assert [0, 0, 0] == [backoff.next_s() for _ in range(3)]


def test_two_processes_wait_differently() -> None:
    one, other = Backoff(Random(1)), Backoff(Random(2))

    assert [one.next_s() for _ in range(5)] != [other.next_s() for _ in range(5)]


def test_an_outage_of_days_still_has_a_delay() -> None:
    backoff = Backoff(LongestDraw())
    for _ in range(3000):
        delay_s = backoff.next_s()

    assert (3000, 2.0) == (backoff.failures, delay_s)


def test_after_a_reset_delays_are_small_again() -> None:
    backoff = Backoff(LongestDraw(), first_s=0.5)
    for _ in range(5):
        backoff.next_s()
    backoff.reset()

    assert (0, 0.5) == (backoff.failures, backoff.next_s())
