"""Bytes to Message and back, exactly as `docs/reference/protocol.md` says.

Called by producers (`encode`), the executor (`decode`) and settlement (`replace_members`).
Never guesses: what is not a message raises MessageDecodeError with the dead-letter reason.
The only module that imports orjson.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

from asyncq.core.errors import ConfigurationError, MessageDecodeError, MessageTooLargeError
from asyncq.core.message import Message

MAX_MESSAGE_BYTES: Final = 1024 * 1024
MAX_NAME_CHARS: Final = 256

_loads = orjson.loads


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


_OPTIONAL: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "attempt": (_is_count, "a whole number from 1"),
    "max_attempts": (_is_count, "a whole number from 1"),
    "timeout": (lambda v: _is_number(v) and v >= 0, "a number of seconds"),  # type: ignore[operator]
    "expires_at": (_is_number, "a number of seconds since the epoch"),
    "parked_since": (_is_number, "a number of seconds since the epoch"),
    "errors": (lambda v: isinstance(v, list), "a list"),
    "headers": (lambda v: isinstance(v, dict), "an object"),
}


def decode(raw: bytes) -> Message:
    """Read one message.

    Returns:
        The Message; unknown members are kept in it.

    Raises:
        MessageDecodeError: not JSON, not an object, a required field missing or of a wrong type.
    """
    try:
        fields = _loads(raw)
    except orjson.JSONDecodeError as error:
        raise MessageDecodeError(f"not JSON: {error}") from None
    # The common case first: four good fields and nothing else need no further look.
    try:
        if (
            fields["id"].__class__ is str
            and fields["name"].__class__ is str
            and fields["timestamp"].__class__ is float
            and len(fields) == 4
            and "payload" in fields
            and 0 < len(fields["id"]) <= MAX_NAME_CHARS
            and 0 < len(fields["name"]) <= MAX_NAME_CHARS
        ):
            return Message(fields)
    except (KeyError, TypeError):
        pass
    _check(fields)
    return Message(fields)


def _check(fields: object) -> None:
    """Raise MessageDecodeError with one sentence about the first thing that is wrong."""
    if not isinstance(fields, dict):
        raise MessageDecodeError(f"expected a JSON object, found {type(fields).__name__}")
    for key in ("id", "name", "payload", "timestamp"):
        if key not in fields:
            raise MessageDecodeError(f"the required field {key!r} is missing")
    for key in ("id", "name"):
        if not _is_text(fields[key]):
            raise MessageDecodeError(f"{key!r} must be a text of 1 to {MAX_NAME_CHARS} characters")
    if not _is_number(fields["timestamp"]):
        raise MessageDecodeError("'timestamp' must be a number of seconds since the epoch")
    for key, (good, expected) in _OPTIONAL.items():
        if key in fields and not good(fields[key]):
            raise MessageDecodeError(f"{key!r} must be {expected}")


def encode(fields: Mapping[str, Any], limit_bytes: int = MAX_MESSAGE_BYTES) -> bytes:
    """Write one message as a producer.

    Args:
        fields: The JSON object; dataclasses, datetimes and UUIDs inside the payload are written by orjson.
        limit_bytes: Refuse anything larger; default 1 MiB.

    Raises:
        ConfigurationError: the payload holds something JSON cannot say.
        MessageTooLargeError: more than `limit_bytes`.
    """
    try:
        raw = orjson.dumps(fields)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise ConfigurationError(f"the payload cannot be written as JSON: {error}") from None
    if len(raw) > limit_bytes:
        raise MessageTooLargeError(len(raw), limit_bytes)
    return raw


_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)


def _members(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The members of the outermost object as (key, value) spans of the original bytes.

    Only for bytes that `decode` accepted, so the nesting and the quoting are known to be sound.
    """
    depth, key, start = 0, b"", 0
    for token in _TOKEN.finditer(raw):
        mark = token.group()
        if mark in (b"{", b"["):
            depth += 1
            if depth == 1:
                start = token.end()
        elif depth == 1 and mark == b":":
            key, start = raw[start : token.start()].strip(), token.end()
        elif depth == 1 and mark in (b",", b"}"):
            if key:
                yield key, raw[start : token.start()].strip()
            key, start = b"", token.end()
            depth -= mark == b"}"
        elif mark in (b"}", b"]"):
            depth -= 1


def replace_members(raw: bytes, changes: Mapping[str, Any]) -> bytes:
    """The same message with some members set, every other byte of it carried over untouched.

    A retry must not re-encode the payload: integers beyond 64 bits, key order and spacing survive.

    Args:
        raw: Bytes that `decode` accepted.
        changes: Member name to new value; None removes the member.
    """
    kept = [key + b":" + value for key, value in _members(raw) if orjson.loads(key) not in changes]
    added = [orjson.dumps(key) + b":" + orjson.dumps(value) for key, value in changes.items() if value is not None]
    return b"{" + b",".join(kept + added) + b"}"


def dump_json(value: Any) -> bytes:
    """JSON for our own records (dead letters, results); whatever JSON cannot say becomes its repr."""
    return orjson.dumps(value, default=repr)


def load_json(raw: bytes) -> Any:
    """Read back what `dump_json` wrote."""
    return orjson.loads(raw)
