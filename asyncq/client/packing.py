"""Packing: from envelopes to what the broker pushes, shared by both clients. Pure.

Refuses the whole lot before anything is sent when one message of it cannot be enqueued.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asyncq.broker.pushes import Push
from asyncq.core import codec
from asyncq.core.envelope import Envelope
from asyncq.core.errors import ConfigurationError

_Way = tuple[str, float, bool]


def pack(envelopes: Sequence[Envelope], limit_bytes: int) -> list[Push]:
    """One push per queue and way (delay, retry-safe), in the order of the envelopes.

    Args:
        envelopes: What is to be enqueued.
        limit_bytes: Refuse a larger message.

    Raises:
        ConfigurationError, MessageTooLargeError: one of them is no message.
    """
    ways: dict[_Way, list[tuple[str, bytes]]] = {}
    for envelope in envelopes:
        if not isinstance(envelope, Envelope):
            raise ConfigurationError(
                f"enqueue: expected an Envelope, as task.envelope(payload) makes it, found {type(envelope).__name__}"
            )
        raw = codec.encode(envelope.message, limit_bytes)
        way = envelope.queue, envelope.delay_s, envelope.retry_safe
        ways.setdefault(way, []).append((envelope.message["id"], raw))
    return [_push(way, messages) for way, messages in ways.items()]


def _push(way: _Way, messages: Iterable[tuple[str, bytes]]) -> Push:
    queue, delay_s, retry_safe = way
    ids, raws = zip(*messages, strict=True)
    return Push(queue, raws, delay_s, ids if retry_safe else ())
