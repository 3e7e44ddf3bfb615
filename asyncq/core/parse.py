"""From what a person wrote for a setting to its value: numbers, durations, sizes, choices, lists, yes and no. Pure.

Used by `core.settings` only. A parser takes the text of a flag or variable, or what TOML made of a value, and
raises ValueError when it is not what the parser's `expected` says; the sentence for people is written by the
caller, who knows where the value came from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from asyncq.core.queue_name import QUEUE_NAME_RULE, is_queue_name

_DURATION_S: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE_BYTES: Final[Mapping[str, int]] = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)?")
_SIZE: Final = re.compile(r"([0-9]+)\s*(B|KiB|MiB|GiB)?")
# Ten years. Redis takes times as whole milliseconds and adds its clock; this stays far from the end of its 64 bits and
# of what a double of Lua holds exactly. Longer than that nobody waits: it is a mistake.
_LONGEST_DAYS: Final = 3660
_WHOLE: Final = re.compile(r"[0-9]+")
_MODULE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*)?")
_URL_SCHEMES: Final = (
    "redis://",
    "rediss://",
    "unix://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+cluster://",
    "rediss+cluster://",
)


@dataclass(frozen=True, slots=True)
class Parser:
    """How one kind of value is read.

    Attributes:
        expected: Completes the sentence "expected ...".
        read: The value, or ValueError.
        metavar: What the help shows in place of the value.
    """

    expected: str
    read: Callable[[object], Any]
    metavar: str


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError(raw)
    return raw.strip()


def _whole(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and _WHOLE.fullmatch(raw.strip()):
        return int(raw)
    raise ValueError(raw)


def _in_range(value: float, low: float, high: float | None) -> None:
    if not low <= value < math.inf or (high is not None and value > high):  # also refuses nan
        raise ValueError(value)


def text(expected: str, metavar: str) -> Parser:
    """Any text that is not empty."""
    return Parser(expected, _text, metavar)


def whole(low: int, high: int | None = None) -> Parser:
    """A whole number from `low` to `high`."""

    def read(raw: object) -> int:
        value = _whole(raw)
        _in_range(value, low, high)
        return value

    return Parser(f"a whole number from {low}" + ("" if high is None else f" to {high}"), read, "N")


def auto_or_whole(low: int, high: int) -> Parser:
    """'auto', or a whole number from `low` to `high`."""
    number = whole(low, high)

    def read(raw: object) -> str | int:
        return "auto" if isinstance(raw, str) and raw.strip() == "auto" else int(number.read(raw))

    return Parser(f"'auto' or {number.expected}", read, "auto|N")


def duration(low_s: float) -> Parser:
    """Seconds as a number, or a text such as 500ms, 10s, 5m, 2h, 1d; at most ten years. The value is seconds."""

    def read(raw: object) -> float:
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            value: float = raw
        else:
            match = _DURATION.fullmatch(_text(raw))
            if match is None:
                raise ValueError(raw)
            value = float(match[1]) * _DURATION_S[match[2] or "s"]
        _in_range(value, low_s, _LONGEST_DAYS * _DURATION_S["d"])
        return float(value)

    return Parser(f"seconds from {low_s:g} to {_LONGEST_DAYS}d, as in 10, 10s or 5m", read, "SECONDS")


def size(low_bytes: int) -> Parser:
    """Bytes as a whole number, or a text such as 512KiB, 1MiB; the value is bytes."""

    def read(raw: object) -> int:
        if isinstance(raw, str):
            match = _SIZE.fullmatch(raw.strip())
            if match is None:
                raise ValueError(raw)
            value = int(match[1]) * _SIZE_BYTES[match[2] or "B"]
        else:
            value = _whole(raw)
        _in_range(value, low_bytes, None)
        return value

    return Parser(f"bytes from {low_bytes}, as in 65536, 512KiB or 1MiB", read, "BYTES")


def choice(*words: str) -> Parser:
    """One of `words`, in any case; the value is spelled as here."""
    by_lower = {word.lower(): word for word in words}

    def read(raw: object) -> str:
        try:
            return by_lower[_text(raw).lower()]
        except KeyError:
            raise ValueError(raw) from None

    return Parser("one of " + ", ".join(words), read, "|".join(words))


_YES_NO_WORDS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def _yes_no(raw: object) -> bool:
    """A flag or TOML gives a bool; a variable gives a word. No number of TOML: 2 would have to mean something, too."""
    if isinstance(raw, bool):
        return raw
    try:
        return _YES_NO_WORDS[_text(raw).lower()]
    except KeyError:
        raise ValueError(raw) from None


def _names(raw: object) -> tuple[str, ...]:
    """The same for repeated flags, a variable, and a text or list of a file; blanks between commas are no names."""
    parts = [raw] if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(raw)
    names = [name.strip() for part in parts for name in _text(part).split(",") if name.strip()]
    if not names or not all(is_queue_name(name) for name in names):
        raise ValueError(raw)
    return tuple(dict.fromkeys(names))


def _module(raw: object) -> str:
    value = _text(raw)
    if not _MODULE.fullmatch(value) or value.endswith(".py"):
        raise ValueError(raw)
    return value


def _redis_url(raw: object) -> str:
    value = _text(raw)
    if not value.startswith(_URL_SCHEMES) or value in _URL_SCHEMES:
        raise ValueError(raw)
    return value


YES_NO: Final = Parser("true or false, yes or no, on or off, 1 or 0", _yes_no, "")
NAMES: Final = Parser(f"queue names ({QUEUE_NAME_RULE}), separated by commas", _names, "NAME")
MODULE: Final = Parser(
    "a module name such as tasks, shop.tasks or shop.tasks:registry (no .py, no path)", _module, "MODULE"
)
REDIS_URL: Final = Parser(
    "a URL such as redis://host:6379/0, rediss://..., unix:///..., redis+sentinel://... or redis+cluster://...",
    _redis_url,
    "URL",
)
