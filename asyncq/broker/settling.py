"""Settling: from a settlement to the one command that carries it out. Pure: values in, command out.

Called by the registration (fenced by a token) and by the broker for popped messages (token "").
Never sends anything.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from asyncq.broker.keys import QueueKeys
from asyncq.broker.scripts import Command, script
from asyncq.core import codec
from asyncq.core.settlement import Complete, DeadLetter, Release, Reschedule, Settlement

MAX_DELAY_S: Final = 10 * 366 * 86_400.0
UNFENCED: Final = ""

# The in-flight record that unfenced scripts name as their first key; it never exists.
_NOBODY: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterLimits:
    """How much of the dead is kept per queue.

    Attributes:
        count: At most this many; default 100,000.
        keep_s: At most this long, seconds; default 30 days.
    """

    count: int = 100_000
    keep_s: float = 30 * 86_400.0

    @property
    def keep_ms(self) -> int:
        return int(self.keep_s * 1000)


def delay_ms(delay_s: float) -> int:
    """Whole milliseconds from 0 to ten years; whatever is not a positive number counts as 0."""
    return round(min(delay_s, MAX_DELAY_S) * 1000) if delay_s > 0 else 0


def completion(inflight: str, tokens: list[int]) -> Command:
    """One HDEL for all messages that are done."""
    return ("HDEL", inflight, *tokens)


def is_alone(token: int | str) -> bool:
    """Whether this is the token of a suspect: below zero."""
    return token != UNFENCED and int(token) < 0


def acquittal(keys: QueueKeys, raw: bytes) -> list[Command]:
    """Sent beside the settlement of a message that ran alone and lived: nothing is held against it any more."""
    sha = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    return [("ZREM", keys.crashes, sha), ("HDEL", keys.crash_counts, sha)]


def rescheduling(keys: QueueKeys, inflight: str, token: int | str, unique: str, delay_s: float, raw: bytes) -> Command:
    """Put a message into `scheduled`."""
    keys_used = (inflight, keys.scheduled, keys.payloads, keys.due)
    return script("settle_reschedule").command(keys_used, token, unique, delay_ms(delay_s), raw)


def settlement_command(
    keys: QueueKeys, wid: str, token: int, raw: bytes, settlement: Settlement, limits: DeadLetterLimits
) -> Command:
    """The fenced command for one message of an incarnation."""
    return _command(keys, keys.inflight(wid), token, f"{wid}:{token}", raw, settlement, limits)


def popped_command(
    keys: QueueKeys, unique: str, raw: bytes, settlement: Settlement, limits: DeadLetterLimits
) -> Command | None:
    """The unfenced command for a message that exists only in this process; None if nothing is left to do."""
    if isinstance(settlement, Complete):
        return None
    return _command(keys, keys.inflight(_NOBODY), UNFENCED, unique, raw, settlement, limits)


def _command(
    keys: QueueKeys,
    inflight: str,
    token: int | str,
    unique: str,
    raw: bytes,
    settlement: Settlement,
    limits: DeadLetterLimits,
) -> Command:
    match settlement:
        case Complete():
            return ("HDEL", inflight, token)
        case Reschedule(delay_s=delay_s, raw=changed):
            return rescheduling(keys, inflight, token, unique, delay_s, changed)
        case Release():
            home = keys.suspects if is_alone(token) else keys.ready
            return script("settle_release").command((inflight, home), token, raw)
        case DeadLetter(reason=reason, details=details):
            header = _header(reason, details)
            keys_used = (inflight, keys.dead, keys.dead_records)
            return script("settle_dead").command(keys_used, token, unique, header, raw, limits.count, limits.keep_ms)


def _header(reason: str, details: dict[str, Any]) -> bytes:
    """What stands before the raw bytes of a dead letter, on one line."""
    try:
        return codec.dump_json({**details, "reason": reason})
    except TypeError:  # JSON cannot say it (lone surrogates, huge integers): a message must not get stuck for that
        return codec.dump_json({"reason": reason, "details": ascii(details)})
