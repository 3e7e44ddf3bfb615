"""The sign-up event: what the service enqueues, what every task of the example receives.

Made by `service` and `make_events`, checked by the first task (`user_signup`): anybody may RPUSH one.
A plain dict on purpose: of a TypedDict every field would be checked, and a mail refused because an optional one is odd.
What must hold for headers no type can say.
Pure: no I/O, no clock but the one that is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

Event = dict[str, Any]

EMAIL_PATTERN: Final = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}$"
REQUIRED: Final = ("event_id", "email", "name")

_EMAIL: Final = re.compile(EMAIL_PATTERN)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # also the two signs that end a line


def problem_with(event: object) -> str | None:
    """One sentence about why nothing can be delivered for this event, None when it is good.

    Wrong data stays wrong, so the answer is a reason to discard the message, never to retry it.
    """
    if not isinstance(event, Mapping):
        return f"expected the payload to be an object, found {type(event).__name__}"
    for key in REQUIRED:
        value = event.get(key)
        if not isinstance(value, str) or not value:
            return f"expected {key!r} to be a text, found {value!r}"
        if _CONTROL.search(value):  # these texts become mail and HTTP headers
            return f"expected {key!r} without control characters, found {value!r}"
    if not event["event_id"].isascii():
        return f"expected 'event_id' in ASCII, found {event['event_id']!r}"
    if not _EMAIL.fullmatch(event["email"]):
        return f"expected 'email' to be an address, found {event['email']!r}"
    return None


def stamp(now_s: float) -> str:
    """Seconds since the epoch as `2025-03-03T08:15:00Z`."""
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
