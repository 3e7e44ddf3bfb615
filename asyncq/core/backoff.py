"""Backoff: how long to wait before speaking to Redis again. Decides, never sleeps."""

from __future__ import annotations

from random import Random


class Backoff:
    """Capped exponential back-off with full jitter, so that a fleet does not come back in one wave.

    The n-th delay in a row is drawn from [0, min(cap_s, first_s * 2**n)] ("full jitter" in M. Brooker, Exponential
    Backoff And Jitter, AWS Architecture Blog, 2015).

    Args:
        rng: Draws the jitter.
        first_s: Upper limit of the first delay, seconds.
        cap_s: Upper limit of every delay, seconds.
    """

    def __init__(self, rng: Random, first_s: float = 0.05, cap_s: float = 2.0) -> None:
        self._rng, self._first_s, self._cap_s = rng, first_s, cap_s
        self.failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        longest = min(self._cap_s, self._first_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return self._rng.uniform(0, longest)

    def reset(self) -> None:
        """It worked: the next failure starts small again."""
        self.failures = 0
