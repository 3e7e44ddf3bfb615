"""The service on FastAPI: POST /signup takes a new user and enqueues one event.

Served by `python -m examples.signup api` or any ASGI server (`examples.signup.api:app`). It answers as soon
as Redis has accepted the message; it never delivers anything itself.
"""

from __future__ import annotations

import time

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from asyncq import BrokerError
from examples.signup.service import RETRY_AFTER, Accepted, Signup, event_of, not_accepted, said
from examples.signup.tasks import process_signup

app = FastAPI(title="Sign-up")


@app.post("/signup", status_code=202)
async def signup(user: Signup) -> Accepted:
    """Accept a new user: 202 once Redis has the event, 503 when it cannot be reached. Cost: 1 RPUSH."""
    event = event_of(user, now_s=time.time())
    handle = await process_signup.enqueue(event)
    return Accepted(event_id=event["event_id"], task_id=handle.id)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether this process answers. Says nothing about Redis."""
    return {"status": "ok"}


@app.exception_handler(RequestValidationError)
async def wrong_field(_request: Request, error: RequestValidationError) -> JSONResponse:
    """422 as FastAPI's own, without what was sent."""
    return JSONResponse({"detail": said(error.errors())}, status_code=422)


@app.exception_handler(BrokerError)
async def no_redis(_request: Request, error: BrokerError) -> JSONResponse:
    return JSONResponse({"detail": not_accepted(error)}, status_code=503, headers=RETRY_AFTER)
