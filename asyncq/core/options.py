"""TaskOptions: what `@task("name", **options)` may say, checked once at registration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict

from asyncq.core.errors import ConfigurationError, shown
from asyncq.core.number import is_number, is_whole
from asyncq.core.queue_name import QUEUE_NAME_RULE, hash_tag
from asyncq.core.retry import MATCH_RULE, RetryByError, RetryPolicy, is_match

DEFAULT_TIMEOUT_S = 300.0
DEFAULT_MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Options of one task.

    Attributes:
        queue: Where `enqueue` puts it and what a supervisor without `--queue` consumes; None means `task_queue`.
        max_attempts: How often a failing message is run before it becomes a dead letter; default 3.
        timeout_s: Seconds one attempt may take; default 300, 0 means no limit.
        retry: Delay between attempts.
        retry_by_error: What holds instead of `retry` and `max_attempts` for some errors. A key is an exception class
            or a predicate of the exception (fast, without I/O: it runs on the event loop); the first match in order
            counts. A value is a policy, or None: not retried, the message becomes a dead letter `discarded` at once.
            Matched is what the handler raised, a time-out as TimeoutError; `Retry`, `Snooze` and `Discard` say
            themselves what they want. Default: empty.
    """

    queue: str | None = None
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    timeout_s: float = DEFAULT_TIMEOUT_S
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    retry_by_error: RetryByError = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _expect(self.queue is None or isinstance(self.queue, str), "queue", QUEUE_NAME_RULE, self.queue)
        if self.queue is not None:
            hash_tag(self.queue)  # refuses what is no queue name
        attempts, timeout_s = self.max_attempts, self.timeout_s
        _expect(is_whole(attempts) and attempts >= 1, "max_attempts", "a whole number, 1 or more", attempts)
        _expect(is_number(timeout_s) and timeout_s >= 0, "timeout_s", "0 or more seconds", timeout_s)
        _expect(isinstance(self.retry, RetryPolicy), "retry", "a RetryPolicy", self.retry)
        only_here = "a RetryPolicy without max_attempts, which is an option of its own"
        _expect(self.retry.max_attempts is None, "retry", only_here, self.retry)
        object.__setattr__(self, "retry_by_error", _by_error(self.retry_by_error))  # frozen; what was given may change


class TaskOptionsIn(TypedDict, total=False):
    """The same for type checkers: what `@task` takes as keyword arguments."""

    queue: str | None
    max_attempts: int
    timeout_s: float
    retry: RetryPolicy
    retry_by_error: RetryByError


def _by_error(given: object) -> RetryByError:
    _expect(isinstance(given, Mapping), "retry_by_error", "a mapping of errors to RetryPolicy or None", given)
    copied: RetryByError = dict(given)  # type: ignore[call-overload] # a mapping, as was seen
    for key, value in copied.items():
        _expect(is_match(key), "retry_by_error", f"as key {MATCH_RULE}", key)
        good = value is None or isinstance(value, RetryPolicy)
        _expect(good, "retry_by_error", f"for {shown(key)} a RetryPolicy, or None to give up at once", value)
    return copied


def refuse_unknown(who: str, given: Iterable[str], known: type[Any]) -> None:
    """Refuse an option that is no field of the dataclass `known`.

    Args:
        who: Begins the sentence, for example "task 'send'".
        given: Names of options.
        known: Says which there are.
    """
    names = [each.name for each in fields(known)]
    for option in given:
        if option not in names:
            raise ConfigurationError(f"{who}: unknown option {option!r}; the options are {', '.join(names)}")


def _expect(good: bool, option: str, expected: str, found: object) -> None:
    if not good:
        raise ConfigurationError(f"task option {option}: expected {expected}, found {shown(found)}")
