"""Bytes to Message and back, exactly as `docs/reference/protocol.md` says.

Called by producers (`encode`), the executor (`decode`) and settlement (`replace_members`).
Never guesses: what is not a message raises MessageDecodeError with the dead-letter reason.
The only module that imports orjson.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

from asyncq.core.errors import ConfigurationError, MessageDecodeError, MessageTooLargeError
from asyncq.core.message import MAX_NAME_CHARS, REQUIRED_FIELDS, Message
from asyncq.core.number import is_number, is_whole
from asyncq.core.payload import plain

MAX_MESSAGE_BYTES: Final = 1024 * 1024

_loads = orjson.loads


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS


def _is_count(value: object) -> bool:
    return is_whole(value) and value >= 1


_OPTIONAL: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "attempt": (_is_count, "a whole number from 1"),
    "max_attempts": (_is_count, "a whole number from 1"),
    "timeout": (lambda v: is_number(v) and v >= 0, "a number of seconds"),
    "expires_at": (is_number, "a number of seconds since the epoch"),
    "parked_since": (is_number, "a number of seconds since the epoch"),
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
    fault = _fault(fields)
    if fault:
        raise MessageDecodeError(fault)
    return Message(fields)


def _fault(fields: object) -> str:
    """One sentence about the first thing that is wrong with a message; "" if nothing is."""
    if not isinstance(fields, Mapping):
        return f"expected a JSON object, found {type(fields).__name__}"
    for key in REQUIRED_FIELDS:
        if key not in fields:
            return f"the required field {key!r} is missing"
    for key in ("id", "name"):
        if not _is_text(fields[key]):
            return f"{key!r} must be a text of 1 to {MAX_NAME_CHARS} characters"
    if not is_number(fields["timestamp"]):
        return "'timestamp' must be a number of seconds since the epoch"
    for key, (good, expected) in _OPTIONAL.items():
        if key in fields and not good(fields[key]):
            return f"{key!r} must be {expected}"
    return ""


def encode(fields: Mapping[str, Any], limit_bytes: int = MAX_MESSAGE_BYTES) -> bytes:
    """Write one message as a producer. Refuses what `decode` would refuse.

    Args:
        fields: The JSON object. Inside the payload, dataclasses, datetimes, UUIDs, msgspec Structs, pydantic models,
            Decimals, sets and bytes (base64) are written as JSON; NaN and infinity as null.
        limit_bytes: Refuse anything larger; default 1 MiB.

    Raises:
        ConfigurationError: no message, or the payload holds something JSON cannot say or an integer beyond 64 bits.
        MessageTooLargeError: more than `limit_bytes`.
    """
    fault = _fault(fields)
    if fault:
        raise ConfigurationError(f"this is no message: {fault}")
    try:
        raw = orjson.dumps(fields if isinstance(fields, dict) else dict(fields), default=plain)
    except orjson.JSONEncodeError as error:
        raise ConfigurationError(_unsayable(error)) from None
    if len(raw) > limit_bytes:
        raise MessageTooLargeError(len(raw), limit_bytes)
    return raw


def _unsayable(error: Exception) -> str:
    if "64-bit" in str(error):
        return "the payload holds an integer beyond 64 bits, which a worker would read as a float; send it as text"
    return f"the payload cannot be written as JSON: {error}"


# Possessive: a long string costs neither memory for going back nor time for trying to.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]', re.DOTALL)


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
