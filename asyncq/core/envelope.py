"""Envelope: a message with its queue and how it is to be enqueued; Handle: what its sender keeps.

Made by `Task.envelope`, or by hand around `create_task`; carried out by the clients. Pure but for the id and the clock.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypedDict

from asyncq.core import clock
from asyncq.core.errors import ConfigurationError, shown
from asyncq.core.message import MAX_NAME_CHARS
from asyncq.core.number import is_number, is_whole
from asyncq.core.queue_name import hash_tag

LONGEST_DELAY_S: Final = 3660 * 86_400.0


def create_task(name: str, payload: Any) -> dict[str, Any]:
    """The four fields of a new message.

    Args:
        name: A registered task.
        payload: Anything JSON can say.

    Returns: a plain dict, ready for `enqueue_task`; optional fields of the protocol may be added to it.
    """
    return {"id": str(uuid.uuid4()), "name": name, "payload": payload, "timestamp": clock.wall_s()}


@dataclass(frozen=True, slots=True)
class Handle:
    """What the sender of a message keeps.

    Attributes:
        id: The message's id, as it stands in logs and dead letters.
        queue: Where it was put.
    """

    id: str
    queue: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message to be enqueued, and how.

    Attributes:
        queue: Where it goes.
        message: Its fields, as `create_task` makes them.
        delay_s: Seconds until it is ready, on Redis' clock; 0 = at once.
        eta: When it is ready, with a time zone, instead of a delay; compared with Redis' clock, a time that has passed
            there = at once.
        retry_safe: Put it there once however often it is sent: a second message with the same id is ignored for ten
            minutes. Costs a script and a key per message instead of a plain RPUSH.

    Raises:
        ConfigurationError: the delay is not from 0 to ten years; the time has no zone, or is more than ten years ahead
            on this clock; both are given.
    """

    queue: str
    message: Mapping[str, Any]
    delay_s: float = 0.0
    retry_safe: bool = False
    eta: datetime | None = None

    def __post_init__(self) -> None:
        check_wait(self.delay_s, self.eta)

    @property
    def waits(self) -> bool:
        """Whether it says when it is to be ready."""
        return self.delay_s > 0 or self.eta is not None

    @property
    def handle(self) -> Handle:
        """What the sender keeps."""
        return Handle(self.message["id"], self.queue)


class UsingOptions(TypedDict, total=False):
    """What `Task.using` takes; see Using for meaning and defaults."""

    queue: str
    delay_s: float
    eta: datetime | None
    max_attempts: int
    timeout_s: float
    expires_in_s: float
    headers: Mapping[str, Any]
    message_id: str
    retry_safe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Using:
    """How messages of a task are enqueued; None leaves it to the task.

    Attributes:
        queue: Instead of the task's own.
        delay_s: Seconds until the message is ready; default 0.
        eta: The time from which it is ready, instead of a delay; see Envelope.
        max_attempts: Instead of the task's own.
        timeout_s: Instead of the task's own; 0 = no limit.
        expires_in_s: Not started any more after so many seconds.
        headers: Carried along.
        message_id: Instead of a new UUID; with `retry_safe` the key by which a repetition is recognised.
        retry_safe: See Envelope.
    """

    queue: str | None = None
    delay_s: float = 0.0
    eta: datetime | None = None
    max_attempts: int | None = None
    timeout_s: float | None = None
    expires_in_s: float | None = None
    headers: Mapping[str, Any] | None = None
    message_id: str | None = None
    retry_safe: bool = False

    def __post_init__(self) -> None:
        if self.queue is not None:
            hash_tag(self.queue)  # refuses what is no queue name
        check_wait(self.delay_s, self.eta)
        attempts = self.max_attempts
        good = attempts is None or (is_whole(attempts) and attempts >= 1)
        _expect(good, "max_attempts", "a whole number from 1", attempts)
        for option in ("timeout_s", "expires_in_s"):
            value = getattr(self, option)
            _expect(value is None or (is_number(value) and value >= 0), option, "0 or more seconds", value)
        _expect(self.headers is None or isinstance(self.headers, Mapping), "headers", "a mapping", self.headers)
        name = self.message_id
        good = name is None or (isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARS)
        _expect(good, "message_id", f"a text of 1 to {MAX_NAME_CHARS} characters", name)
        _expect(isinstance(self.retry_safe, bool), "retry_safe", "True or False", self.retry_safe)

    def envelope(self, name: str, queue: str, payload: Any) -> Envelope:
        """A new message for a task.

        Args:
            name: Of the task.
            queue: The task's own.
            payload: Anything JSON can say.
        """
        message = create_task(name, payload)
        if self.message_id is not None:
            message["id"] = self.message_id
        optional = {
            "max_attempts": self.max_attempts,
            "timeout": self.timeout_s,
            "expires_at": None if self.expires_in_s is None else message["timestamp"] + self.expires_in_s,
            "headers": None if self.headers is None else dict(self.headers),
        }
        message |= {field: value for field, value in optional.items() if value is not None}
        return Envelope(self.queue or queue, message, self.delay_s, self.retry_safe, self.eta)


def _expect(good: bool, option: str, expected: str, found: object) -> None:
    if not good:
        raise ConfigurationError(f"enqueue option {option}: expected {expected}, found {shown(found)}")


def check_wait(delay_s: object, eta: object) -> None:
    """Refuse what says no time, or says it twice.

    Raises:
        ConfigurationError: see Envelope.
    """
    good = is_number(delay_s) and 0 <= delay_s <= LONGEST_DELAY_S
    _expect(good, "delay_s", "seconds from 0 to ten years", delay_s)
    if eta is None:
        return
    zoned = isinstance(eta, datetime) and eta.utcoffset() is not None
    _expect(zoned, "eta", "a datetime with a time zone, such as datetime.now(UTC) + timedelta(hours=1)", eta)
    _expect(delay_s == 0, "eta", "eta or delay_s, not both (delay_s=0 takes a delay back)", eta)
    # A coarse look, so that a mistake does not wait for ever; when the message is ready is Redis' question.
    latest = datetime.fromtimestamp(clock.wall_s(), UTC) + timedelta(seconds=LONGEST_DELAY_S)
    _expect(isinstance(eta, datetime) and eta <= latest, "eta", "a time at most ten years ahead", eta)
