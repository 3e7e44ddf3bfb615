"""RetryPolicy: from the number of the failed attempt to the delay before the next one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from asyncq.core.errors import ConfigurationError, shown
from asyncq.core.number import is_number


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with equal jitter.

    After attempt n fails, d = min(cap_s, base_s * 2**(n-1)) and the delay is drawn from [d/2, d]
    ("equal jitter" in M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015):
    half of the delay is certain, the other half spreads messages that failed together.

    Attributes:
        base_s: Delay after the first failure before jitter, seconds; default 1.
        cap_s: Upper limit, seconds; default 300.
    """

    base_s: float = 1.0
    cap_s: float = 300.0

    def __post_init__(self) -> None:
        if not all(is_number(value) and value >= 0 for value in (self.base_s, self.cap_s)):
            raise ConfigurationError(
                "retry policy: expected base_s and cap_s from 0 seconds, "
                f"found {shown(self.base_s)} and {shown(self.cap_s)}"
            )

    def delay_s(self, attempt: int, rng: Random) -> float:
        """Seconds to wait after attempt number `attempt` (from 1) failed."""
        longest = min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 60))
        return rng.uniform(longest / 2, longest)
