"""The app: the tasks that a worker runs for the sign-up service.

Loaded by `asyncq-supervise` (pyproject names this module). Importing it only registers the tasks.
A service enqueues one `user_signup` per new user; that task enqueues one message per delivery, so that each
is retried by itself: a CRM that is down neither holds back the mail nor makes it go out twice.
"""

from __future__ import annotations

from typing import Final

from asyncq import Client, Discard, task
from examples.signup import content
from examples.signup.event import Event, problem_with
from examples.signup.outgoing import outgoing

QUEUE: Final = "task_queue"

client = Client()  # connects on first use, to the Redis of the worker it is in


@task("user_signup", queue=QUEUE)
async def process_signup(event: Event) -> None:
    """Enqueue the three deliveries of one sign-up.

    Raises:
        Discard: the event is unusable; it lies in the dead letters with the reason.

    Cost: 1 RPUSH, so all three are enqueued or none. A process that dies right after it repeats all three when the
    message is run again: receivers see the same X-Event-Id.
    """
    problem = problem_with(event)
    if problem:
        raise Discard(problem)
    await client.enqueue_many(delivery.envelope(event) for delivery in DELIVERIES)


@task("send_welcome_email", queue=QUEUE, timeout_s=60)
async def send_welcome_email(event: Event) -> None:
    """Send the welcome mail over SMTP. Any refusal raises, so the message is retried."""
    out = outgoing()
    mail = content.welcome_email(event, out.agent)
    async with out.smtp.connection() as smtp:
        await smtp.send_message(mail)


@task("track_signup", queue=QUEUE, timeout_s=60)
async def track_signup(event: Event) -> None:
    """Tell analytics about the sign-up over HTTP. Any answer but 2xx raises, so the message is retried."""
    await _post("/analytics", event["event_id"], content.analytics_record(event))


@task("notify_crm", queue=QUEUE, timeout_s=60, max_attempts=5)
async def notify_crm(event: Event) -> None:
    """Call the CRM's webhook. Its 503s are expected: five attempts instead of three."""
    await _post("/crm", event["event_id"], content.crm_record(event))


DELIVERIES: Final = (send_welcome_email, track_signup, notify_crm)


async def _post(path: str, event_id: str, record: dict[str, object]) -> None:
    headers = {content.EVENT_ID_HEADER: event_id}
    answer = await outgoing().http.post(path, json=record, headers=headers)
    answer.raise_for_status()
