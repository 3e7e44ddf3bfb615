"""Back-off for any policy and attempt: in the upper half of a limit that doubles up to the cap."""

from fractions import Fraction
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from asyncq.core.retry import RetryPolicy
from tests.support.properties import MANY

# Whole seconds that a float holds exactly: beyond, bounds are rounded as the delay is.
seconds = st.integers(0, 2**53) | st.floats(0, allow_infinity=False) | st.sampled_from([0, 1, 0.5, 300, 1e308])
policies = st.builds(RetryPolicy, base_s=seconds, cap_s=seconds)
attempts = st.integers(1, 70) | st.integers(1, 10**9)
seeds = st.integers(0, 2**64)

# The limit stops doubling here; with the smallest sensible base of a millisecond that is after millions of years.
LAST_DOUBLING = 61


def limit(policy: RetryPolicy, attempt: int) -> float:
    """The longest delay, exactly."""
    doubled = Fraction(policy.base_s) * 2 ** (min(attempt, LAST_DOUBLING) - 1)
    return float(min(Fraction(policy.cap_s), doubled))


@MANY
@given(policies, attempts, seeds)
@example(RetryPolicy(), 1, 0)
@example(RetryPolicy(base_s=1e308, cap_s=1e308), 10**9, 0)
@example(RetryPolicy(base_s=5e-324, cap_s=5e-324), 10**9, 0)
def test_a_delay_lies_in_the_upper_half_of_the_limit(policy: RetryPolicy, attempt: int, seed: int) -> None:
    longest = limit(policy, attempt)

    assert longest / 2 <= policy.delay_s(attempt, Random(seed)) <= longest <= policy.cap_s


@MANY
@given(policies, attempts, seeds)
def test_a_later_attempt_never_waits_less_by_the_same_draw(policy: RetryPolicy, attempt: int, seed: int) -> None:
    sooner, later = (policy.delay_s(number, Random(seed)) for number in (attempt, attempt + 1))

    assert sooner <= later
    if attempt < LAST_DOUBLING and 0 < policy.base_s and limit(policy, attempt + 1) < policy.cap_s:
        assert sooner < later


@MANY
@given(attempts)
def test_a_capped_delay_is_spread_over_the_upper_half(attempt: int) -> None:
    policy = RetryPolicy(base_s=8, cap_s=8)

    delays = [policy.delay_s(attempt, Random(seed)) for seed in range(100)]

    assert 4 <= min(delays) < 4.4
    assert 7.6 < max(delays) <= 8
