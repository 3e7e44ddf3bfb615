"""Packing: from envelopes to what the broker pushes, shared by both clients. Pure.

Refuses the whole lot before anything is sent when one message of it cannot be enqueued.
"""

from __future__ import annotations

from collections.abc import Sequence

from asyncq.broker.pushes import Push, when
from asyncq.core import codec
from asyncq.core.envelope import Envelope
from asyncq.core.errors import ConfigurationError

_Way = tuple[str, bool, bool]


def pack(envelopes: Sequence[Envelope], limit_bytes: int) -> list[Push]:
    """One push per queue and way (at once or waiting, retry-safe or not), in the order of the envelopes.

    Args:
        envelopes: What is to be enqueued.
        limit_bytes: Refuse a larger message.

    Raises:
        ConfigurationError, MessageTooLargeError: one of them is no message.
    """
    ways: dict[_Way, list[tuple[Envelope, bytes]]] = {}
    for envelope in envelopes:
        if not isinstance(envelope, Envelope):
            raise ConfigurationError(
                f"enqueue: expected an Envelope, as task.envelope(payload) makes it, found {type(envelope).__name__}"
            )
        raw = codec.encode(envelope.message, limit_bytes)
        way = envelope.queue, envelope.waits, envelope.retry_safe
        ways.setdefault(way, []).append((envelope, raw))
    return [_push(way, messages) for way, messages in ways.items()]


def _push(way: _Way, messages: Sequence[tuple[Envelope, bytes]]) -> Push:
    queue, waiting, retry_safe = way
    whens = [when(envelope.delay_s, envelope.eta) for envelope, _ in messages] if waiting else []
    ids = [envelope.message["id"] for envelope, _ in messages] if retry_safe else []
    return Push(queue, [raw for _, raw in messages], whens, ids)
