"""Pushes: from messages to the commands that enqueue them, and what a producer is told when one fails. Pure.

Called by both producers, so that the asyncio and the threads' side send and promise the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from asyncq.broker.failures import ReplyLostError
from asyncq.broker.keys import QueueKeys, queue_keys
from asyncq.broker.scripts import Argument, Command, script
from asyncq.broker.settling import delay_ms
from asyncq.core.backoff import Backoff
from asyncq.core.errors import BrokerError, BrokerUnavailableError, OutcomeUnknownError

PUSH_CHUNK: Final = 1000
GUARD_MS: Final = 600_000
SAFE_TRIES: Final = 3

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Push:
    """Messages of one queue that are enqueued the same way, in order.

    Attributes:
        queue: Where they go.
        raws: Their bytes.
        whens: One per message, as `when` makes it; empty = all at once.
        ids: One per message when none may be enqueued twice; empty for a plain push.
    """

    queue: str
    raws: Sequence[bytes]
    whens: Sequence[str] = ()
    ids: Sequence[str] = ()


def when(delay_s: float = 0.0, eta: datetime | None = None) -> str:
    """When a message is to be ready, as the script reads it; the producer's own clock has no part in it.

    Args:
        delay_s: Seconds from now on Redis' clock; 0 = at once.
        eta: At this time on Redis' clock, never earlier: a part of a millisecond counts as a whole one.
    """
    if eta is None:
        return f"+{delay_ms(delay_s)}"
    return str(-((_EPOCH - eta) // timedelta(milliseconds=1)))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Up to a thousand messages in one command, all of which are enqueued or none.

    Attributes:
        command: What is sent.
        queue: Where they go.
        count: How many they are.
        safe: Whether sending it again enqueues nothing twice.
    """

    command: Command
    queue: str
    count: int
    safe: bool


def chunks(push: Push) -> Iterator[Chunk]:
    """One RPUSH or script per thousand messages.

    Raises:
        ConfigurationError: the queue's name is not legal.
    """
    keys, scripted = queue_keys(push.queue), bool(push.whens or push.ids)
    mark = os.urandom(8).hex() if scripted else ""
    for start in range(0, len(push.raws), PUSH_CHUNK):
        part = slice(start, start + PUSH_CHUNK)
        raws, whens, ids = push.raws[part], push.whens[part], push.ids[part]
        if scripted:
            # Two equal messages that wait stay two; those due at the same time come up in the order of these names.
            uniques = [f"{mark}:{number:09}" for number in range(start, start + len(raws))]
            command = _script(keys, uniques, whens, raws, ids)
        else:
            command = _rpush(keys, raws)
        yield Chunk(command, push.queue, len(raws), bool(push.ids))


def _rpush(keys: QueueKeys, raws: Sequence[bytes]) -> Command:
    return ("RPUSH", keys.ready, *raws)


def _script(
    keys: QueueKeys, uniques: Sequence[str], whens: Sequence[str], raws: Sequence[bytes], ids: Sequence[str]
) -> Command:
    guards = tuple(keys.enqueued(message_id) for message_id in ids)
    named = (keys.ready, keys.scheduled, keys.payloads, keys.due, *guards)
    messages: list[Argument] = []
    for each in zip(uniques, whens or [when()] * len(raws), raws, strict=True):
        messages += each
    return script("enqueue").command(named, GUARD_MS, *messages)


class Tries:
    """How often a chunk is sent: a plain one once, a retry-safe one up to SAFE_TRIES times.

    Args:
        chunk: What is sent.
        rng: Draws the pauses.
    """

    def __init__(self, chunk: Chunk, rng: Random) -> None:
        self._left = SAFE_TRIES - 1 if chunk.safe else 0
        self._backoff = Backoff(rng)
        self._lost: BrokerError | None = None

    def pause_s(self, error: BrokerError) -> float | None:
        """Seconds until the next try after this failure; None when there is none."""
        if isinstance(error, ReplyLostError):
            self._lost = error
        if self._left == 0 or not isinstance(error, BrokerUnavailableError):
            return None
        self._left -= 1
        return self._backoff.next_s()

    def told(self, error: BrokerError) -> BrokerError:
        """The failure that counts: one lost reply makes the outcome unknown, whatever came after it."""
        return self._lost or error


def push_error(error: BrokerError, chunk: Chunk, pushed: int, total: int) -> BrokerError:
    """What a producer is told when a chunk failed after `pushed` of `total` messages were accepted.

    Only if nothing was accepted and nothing can be under way is the error passed on: then pushing again is safe.
    """
    if isinstance(error, ReplyLostError):
        again = (
            f"pushing them again with the same ids within {GUARD_MS // 60_000} minutes is safe"
            if chunk.safe
            else "pushing them again may run them twice"
        )
        return OutcomeUnknownError(
            f"queue {chunk.queue!r}: {pushed} of {total} messages were accepted, the fate of the next "
            f"{chunk.count} is unknown: {error}; {again}"
        )
    if pushed:
        return OutcomeUnknownError(
            f"queue {chunk.queue!r}: only the first {pushed} of {total} messages were accepted: {error}; "
            "push the rest again"
        )
    return error
