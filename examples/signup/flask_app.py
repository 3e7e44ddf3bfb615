"""The service on Flask: POST /signup as an `async def` view, POST /signup/sync as a plain one; one event each.

Served by `python -m examples.signup flask` or any WSGI server (`examples.signup.flask_app:app`), threaded or
preforking. Importing it opens no connection. It never delivers anything itself.

Flask runs each call of an `async def` view in an event loop of its own, which ends with the request, and connections
cannot outlive their loop: POST /signup opens and closes one connection to Redis per request. The connections of a
SyncClient stay open, as many as views enqueued at one time: prefer it in Flask, unless a view has to await something
else as well.
"""

from __future__ import annotations

import time
from typing import Any, Final

from flask import Flask, json, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, UnsupportedMediaType
from werkzeug.wrappers import Response

from asyncq import BrokerError, Handle, SyncClient
from examples.signup.event import Event
from examples.signup.service import RETRY_AFTER, Accepted, Signup, event_of, not_accepted, said
from examples.signup.tasks import process_signup

MAX_REQUEST_BYTES: Final = 64 * 1024

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
client = SyncClient()

Answer = tuple[dict[str, Any], int]


@app.post("/signup")
async def signup() -> Answer:
    """Accept a new user: 202 once Redis has the event, 503 when it cannot be reached. Cost: 1 connection, 1 RPUSH."""
    event = _event()
    return _accepted(event, await process_signup.enqueue(event))


@app.post("/signup/sync")
def signup_sync() -> Answer:
    """The same without an event loop. Cost: 1 RPUSH."""
    event = _event()
    return _accepted(event, client.enqueue(process_signup.envelope(event)))


@app.get("/healthz")
def healthz() -> Answer:
    """Whether this process answers. Says nothing about Redis."""
    return {"status": "ok"}, 200


@app.errorhandler(ValidationError)
def wrong_field(error: ValidationError) -> Answer:
    """422 with each wrong field; 400 when the body is no JSON at all."""
    faults = said(error.errors(include_url=False, include_context=False, include_input=False))
    if faults[0]["type"] == "json_invalid":
        return {"detail": faults[0]["msg"]}, 400
    return {"detail": [{**fault, "loc": ["body", *fault["loc"]]} for fault in faults]}, 422


@app.errorhandler(BrokerError)
def no_redis(error: BrokerError) -> tuple[dict[str, Any], int, dict[str, str]]:
    return {"detail": not_accepted(error)}, 503, RETRY_AFTER


@app.errorhandler(HTTPException)
def refused(error: HTTPException) -> Response:
    """Whatever else is wrong: Flask's answer with a text instead of a page."""
    answer = error.get_response()
    answer.data, answer.content_type = json.dumps({"detail": error.description}), "application/json"
    return answer


def _event() -> Event:
    """The event of this request.

    Raises:
        UnsupportedMediaType: the request says that it is no JSON.
        RequestEntityTooLarge: it has more than MAX_REQUEST_BYTES.
        ValidationError: a field is wrong, or the body no JSON.
    """
    if not request.is_json:
        raise UnsupportedMediaType("expected the content type application/json, found another")
    return event_of(Signup.model_validate_json(request.get_data()), now_s=time.time())


def _accepted(event: Event, handle: Handle) -> Answer:
    return Accepted(event_id=event["event_id"], task_id=handle.id).model_dump(), 202
