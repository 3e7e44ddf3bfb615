"""Outcome: what one attempt came to. A value; what becomes of the message is `core.settlement`'s question.

Made by the executor, read by settlement, the recorder and the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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
    """

    kind: Kind
    error_type: str = ""
    error: str = ""
    traceback: str = ""
    delay_s: float | None = None


SUCCEEDED = Outcome(kind=Kind.SUCCEEDED)
RELEASED = Outcome(kind=Kind.RELEASED)
