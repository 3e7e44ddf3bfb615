"""What both services share, `api` on FastAPI and `flask_app` on Flask: what comes in, what goes out, what is said.

Knows neither framework and enqueues nothing. No answer repeats a value that was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

from pydantic import BaseModel, Field, StringConstraints

from asyncq import BrokerError, OutcomeUnknownError
from examples.signup.event import EMAIL_PATTERN, Event, stamp

RETRY_AFTER: Final = {"Retry-After": "5"}  # seconds
MAX_UTM_FIELDS: Final = 20

Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\p{Cc}\p{Zl}\p{Zp}]*$")
]


class Signup(BaseModel):
    """What a browser sends. Only the address and the name are required."""

    email: Annotated[str, StringConstraints(strip_whitespace=True, max_length=254, pattern=EMAIL_PATTERN)]
    name: Text
    plan: Literal["free", "starter", "team", "business"] = "free"
    company: Text | None = None
    source: Text = "direct"
    utm: Annotated[dict[Text, Text], Field(max_length=MAX_UTM_FIELDS)] | None = None
    referrer: Text | None = None
    locale: Text = "en"
    marketing: bool = False


class Accepted(BaseModel):
    """Where to look for the sign-up later: the event in what was delivered, the task in asyncq."""

    event_id: str
    task_id: str


def event_of(user: Signup, now_s: float) -> Event:
    """The event for a new user, with ids of its own."""
    fields: dict[str, Any] = user.model_dump()
    return {
        "event_id": str(uuid4()),
        "user_id": f"u{uuid4().hex[:12]}",
        **fields,
        "signed_up_at": stamp(now_s),
    }


def said(faults: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is wrong with a request, for 422: of each fault pydantic found its field and reason, not the value."""
    return [{key: fault[key] for key in ("type", "loc", "msg")} for fault in faults]


def not_accepted(error: BrokerError) -> str:
    """The sentence for 503: whether a second try may sign the user up twice."""
    if isinstance(error, OutcomeUnknownError):
        return "The sign-up could not be confirmed: Redis did not answer in time."
    return f"The sign-up was not accepted, please try again later: {error}"
