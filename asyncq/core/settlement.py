"""From what an attempt came to, to what becomes of its message: one pure function.

Called by the worker after each attempt that did not simply succeed; the broker carries the answer out.
Never reads a clock or draws from a global generator: `now_s` and `rng` are given. Pure as long as the predicates of a
task's `retry_by_error` are.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Final

from asyncq.core import codec
from asyncq.core.message import Message
from asyncq.core.options import TaskOptions
from asyncq.core.outcome import Kind, Outcome, ending
from asyncq.core.retry import policy_for

MAX_ERRORS_KEPT: Final = 3
MAX_TRACEBACK_CHARS: Final = 8_000
MAX_ERROR_TRACEBACK_CHARS: Final = 2_000
UNKNOWN_TASK_RECHECK_S: Final = 5.0

# Ends of an attempt that no repetition mends; each is the dead letter's reason, too.
_GIVEN_UP: Final = frozenset({Kind.DISCARDED, Kind.EXPIRED, Kind.REJECTED})


@dataclass(frozen=True, slots=True)
class Complete:
    """The message is done: forget it."""


@dataclass(frozen=True, slots=True)
class Reschedule:
    """The message waits in `scheduled` and runs again `delay_s` seconds from now as `raw`."""

    delay_s: float
    raw: bytes
    counted: bool = True


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The message is given up and kept for people.

    Attributes:
        reason: One of the reasons of the protocol: malformed, rejected, unknown_task, exhausted, ...
        details: Written beside the raw bytes: error, error_type, traceback, attempt, name, id.
    """

    reason: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Release:
    """The message goes back to the head of its queue, the attempt uncounted."""


Settlement = Complete | Reschedule | DeadLetter | Release

COMPLETE: Final = Complete()
RELEASE: Final = Release()


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementRules:
    """What is not said by task or message.

    Attributes:
        unknown_task_park_s: How long a message for a task that nobody here knows is parked before it becomes
            a dead letter, seconds; default 600, so that a rolling deployment loses nothing.
        max_message_bytes: What workers take; a retry is not made larger. Default 1 MiB.
    """

    unknown_task_park_s: float = 600.0
    max_message_bytes: int = codec.MAX_MESSAGE_BYTES


def settle_for(
    outcome: Outcome,
    raw: bytes,
    message: Message | None,
    options: TaskOptions,
    rules: SettlementRules,
    now_s: float,
    rng: Random,
) -> Settlement:
    """Decide what becomes of a message.

    Args:
        outcome: How the attempt ended.
        raw: The message's bytes, carried over into a retry.
        message: None when the bytes could not be decoded.
        options: The task's options (defaults when the task is unknown).
        rules: Settings of this worker.
        now_s: Wall clock, seconds since the epoch.
        rng: Draws the jitter.
    """
    kind = outcome.kind
    if kind is Kind.SUCCEEDED:
        return COMPLETE
    if kind is Kind.RELEASED:
        return RELEASE
    if message is None:
        return DeadLetter("malformed", {"error": outcome.error})
    if kind is Kind.SNOOZED:
        return Reschedule(outcome.delay_s or 0.0, _unparked(raw, message), counted=False)
    if kind is Kind.UNKNOWN_TASK:
        return _park_or_bury(outcome, raw, message, rules, now_s)
    if kind in _GIVEN_UP:
        return DeadLetter(kind.value, _details(outcome, message))
    policy = policy_for(outcome.exception, options.retry_by_error, options.retry)
    if policy is None:
        return DeadLetter("discarded", _details(outcome, message))
    last = message.max_attempts or policy.max_attempts or options.max_attempts
    changed = _next_attempt(outcome, raw, message, rules, now_s) if message.attempt < last else None
    if changed is None:
        return DeadLetter("exhausted", _details(outcome, message))
    delay_s = policy.delay_s(message.attempt, rng) if outcome.delay_s is None else outcome.delay_s
    return Reschedule(delay_s, changed)


def _park_or_bury(outcome: Outcome, raw: bytes, message: Message, rules: SettlementRules, now_s: float) -> Settlement:
    since = now_s if message.parked_since is None else min(message.parked_since, now_s)  # a clock may be ahead
    left_s = since + rules.unknown_task_park_s - now_s
    if left_s <= 0:
        return DeadLetter("unknown_task", _details(outcome, message))
    changed = _within(rules, raw, {"parked_since": since})
    if changed is None:
        return DeadLetter("unknown_task", _details(outcome, message))
    return Reschedule(min(UNKNOWN_TASK_RECHECK_S, left_s), changed, counted=False)


def _next_attempt(outcome: Outcome, raw: bytes, message: Message, rules: SettlementRules, now_s: float) -> bytes | None:
    """The message with this failure counted and as many of its last errors as there is room for.

    Returns: None when there is not even room for the next attempt's number.
    """
    failure = {
        "attempt": message.attempt,
        "at": round(now_s, 3),
        "error_type": outcome.error_type,
        "error": outcome.error,
        "traceback": ending(outcome.traceback, MAX_ERROR_TRACEBACK_CHARS),
    }
    last = [*message.errors, failure][-MAX_ERRORS_KEPT:]
    for errors in (*(last[first:] for first in range(len(last))), None):
        changes = {"attempt": message.attempt + 1, "errors": errors, "parked_since": None}
        changed = _within(rules, raw, changes)
        if changed is not None:
            return changed
    return None


def _within(rules: SettlementRules, raw: bytes, changes: dict[str, Any]) -> bytes | None:
    """The changed message; None if no worker would take it, or if it holds what can be read but not be written."""
    try:
        changed = codec.replace_members(raw, changes)
    except TypeError:  # a producer's own `errors`, nested too deeply; the number after the largest of 64 bits
        return None
    return changed if len(changed) <= rules.max_message_bytes else None


def _unparked(raw: bytes, message: Message) -> bytes:
    """The same message as somebody knows its task: should it meet a worker that does not, its time begins anew."""
    return raw if message.parked_since is None else codec.replace_members(raw, {"parked_since": None})


def _details(outcome: Outcome, message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "name": message.name,
        "attempt": message.attempt,
        "error_type": outcome.error_type,
        "error": outcome.error,
        "traceback": ending(outcome.traceback, MAX_TRACEBACK_CHARS),
    }
