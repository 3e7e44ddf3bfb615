"""The service: POST /signup takes a new user and enqueues one event.

Served by `python -m examples.signup api` or any ASGI server (`examples.signup.api:app`). It answers as soon
as Redis has accepted the message; it never delivers anything itself.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, StringConstraints

from asyncq import BrokerError, OutcomeUnknownError, create_task, enqueue_task
from examples.signup.event import EMAIL_PATTERN, Event, stamp
from examples.signup.tasks import QUEUE

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
    utm: dict[str, Text] | None = None
    referrer: Text | None = None
    locale: Text = "en"
    marketing: bool = False


class Accepted(BaseModel):
    """Where to look for the sign-up later: the event in what was delivered, the task in asyncq."""

    event_id: str
    task_id: str


app = FastAPI(title="Sign-up")


@app.post("/signup", status_code=202)
async def signup(user: Signup) -> Accepted:
    """Accept a new user: 202 once Redis has the event, 503 when it cannot be reached. Cost: 1 RPUSH."""
    event = event_of(user, now_s=time.time())
    message = create_task("user_signup", event)
    try:
        await enqueue_task(QUEUE, message)
    except OutcomeUnknownError:
        raise _unavailable("The sign-up could not be confirmed: Redis did not answer in time.") from None
    except BrokerError as error:
        raise _unavailable(f"The sign-up was not accepted, please try again later: {error}") from None
    return Accepted(event_id=event["event_id"], task_id=message["id"])


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether this process answers. Says nothing about Redis."""
    return {"status": "ok"}


def event_of(user: Signup, now_s: float) -> Event:
    """The event for a new user, with ids of its own."""
    fields: dict[str, Any] = user.model_dump()
    return {
        "event_id": str(uuid4()),
        "user_id": f"u{uuid4().hex[:12]}",
        **fields,
        "signed_up_at": stamp(now_s),
    }


def _unavailable(sentence: str) -> HTTPException:
    return HTTPException(status_code=503, detail=sentence, headers={"Retry-After": "5"})
