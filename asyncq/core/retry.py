"""RetryPolicy: from the number of the failed attempt to the delay before the next one; and which policy an error has.

Checked by `core.options` when a task is registered, asked by `core.settlement`. Pure, but for the predicates, which are
the task's own: one that raises is logged and counts as no match.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from asyncq.core.errors import ConfigurationError, TaskControl, shown
from asyncq.core.number import is_number, is_whole

log = logging.getLogger("asyncq.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with equal jitter.

    After attempt n fails, d = min(cap_s, base_s * 2**(n-1)) and the delay is drawn from [d/2, d]
    ("equal jitter" in M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015):
    half of the delay is certain, the other half spreads messages that failed together.

    Attributes:
        base_s: Delay after the first failure before jitter, seconds; default 1.
        cap_s: Upper limit, seconds; default 300.
        max_attempts: In `retry_by_error` only: how often a message is run when it fails with such an error, whatever
            the attempts before it failed with; default None = the task's own number.
    """

    base_s: float = 1.0
    cap_s: float = 300.0
    max_attempts: int | None = None

    def __post_init__(self) -> None:
        if not all(is_number(value) and value >= 0 for value in (self.base_s, self.cap_s)):
            raise ConfigurationError(
                "retry policy: expected base_s and cap_s from 0 seconds, "
                f"found {shown(self.base_s)} and {shown(self.cap_s)}"
            )
        attempts = self.max_attempts
        if attempts is not None and not (is_whole(attempts) and attempts >= 1):
            raise ConfigurationError(
                f"retry policy: expected max_attempts as a whole number from 1, or None, found {shown(attempts)}"
            )

    def delay_s(self, attempt: int, rng: Random) -> float:
        """Seconds to wait after attempt number `attempt` (from 1) failed."""
        longest = min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 60))
        return rng.uniform(longest / 2, longest)


ErrorMatch = type[BaseException] | Callable[[BaseException], bool]
RetryByError = Mapping[ErrorMatch, RetryPolicy | None]

MATCH_RULE = "an exception class or a predicate of the exception (a plain function, not Retry, Snooze or Discard)"

# What these say yes to returns something to be awaited or iterated, which always counts as true.
_NO_ANSWER = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)


def is_match(key: object) -> bool:
    """Whether `key` may stand in `retry_by_error`: what is said there would otherwise never hold, or always."""
    if isinstance(key, type):
        return issubclass(key, BaseException) and not issubclass(key, TaskControl)
    called = (key, getattr(key, "__call__", key))  # noqa: B004 - an object's own, which may be an `async def`
    return callable(key) and not any(answers(part) for part in called for answers in _NO_ANSWER)


def policy_for(error: BaseException | None, by_error: RetryByError, default: RetryPolicy) -> RetryPolicy | None:
    """The policy of the first match in order, None where that says not to retry; `default` without a match.

    Args:
        error: What the attempt raised; None when that is not known.
        by_error: The task's own rules.
        default: What holds for all other errors.
    """
    if error is not None:
        for key, policy in by_error.items():
            if _matches(key, error):
                return policy
    return default


def _matches(key: ErrorMatch, error: BaseException) -> bool:
    try:
        return isinstance(error, key) if isinstance(key, type) else bool(key(error))
    except (KeyboardInterrupt, GeneratorExit):
        raise  # not the predicate's: the process or its event loop ends
    except BaseException:  # fence: user code may raise anything, and no message may end its consumer
        log.error("retry_by_error: a predicate failed, no match", exc_info=True, extra={"predicate": shown(key)})
        return False
