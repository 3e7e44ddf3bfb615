"""Outcome: what one attempt came to. A value; what becomes of the message is `core.settlement`'s question.

Made by the executor, read by settlement, the recorder and the log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

CUT: Final = "[the beginning was cut]\n"


class Kind(Enum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    RETRY_ASKED = "retry_asked"
    SNOOZED = "snoozed"
    DISCARDED = "discarded"
    MALFORMED = "malformed"
    UNKNOWN_TASK = "unknown_task"
    REJECTED = "rejected"
    EXPIRED = "expired"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended, with what is needed to decide about the message.

    Attributes:
        error_type: Class name of the exception, "" when there was none.
        error: One line for people.
        traceback: Formatted and truncated; "" when there was none.
        delay_s: What Retry or Snooze asked for.
        exception: What a failed attempt raised, for the task's `retry_by_error`; a time-out is a TimeoutError. Nobody
            keeps it when the message is settled: it holds the handler's frames.
    """

    kind: Kind
    error_type: str = ""
    error: str = ""
    traceback: str = ""
    delay_s: float | None = None
    exception: BaseException | None = field(default=None, compare=False, repr=False)


SUCCEEDED = Outcome(kind=Kind.SUCCEEDED)
RELEASED = Outcome(kind=Kind.RELEASED)


def ending(text: str, most_chars: int) -> str:
    """The end of a traceback, where the error stands: at most so many characters, CUT before it if it was longer."""
    if len(text) <= most_chars:
        return text
    return CUT + text[len(text) - most_chars + len(CUT) :]
