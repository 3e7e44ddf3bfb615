"""What to enqueue: payloads from an argument, standard input or a file, one or one per line.

Called by enqueue. Refuses what is not JSON with a sentence that says where it stands; reads line by line, so a file
may be larger than memory.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from asyncq.core.errors import ConfigurationError


def one_payload(argument: str) -> Any:
    """The payload that `argument` means: JSON, `-` for standard input, `@file`.

    Raises:
        ConfigurationError: not JSON, or no such file.
    """
    if argument == "-":
        with _opened("-") as file:
            return _json(file.read(), "standard input")
    if argument.startswith("@"):
        with _opened(argument[1:]) as file:
            return _json(file.read(), argument[1:])
    return _json(argument, "the command line")


def payload_lines(path: str) -> Iterator[Any]:
    """One payload per line of a file, `-` for standard input; blank lines are skipped.

    Raises:
        ConfigurationError: no such file, or a line is not JSON; names the line.
    """
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _json(line, f"{path} line {number}")


def _json(raw: str | bytes, where: str) -> Any:
    try:
        text = raw if isinstance(raw, str) else raw.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"payload: expected UTF-8 text, found other bytes in {where}: {error}") from None
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        found = text.strip()[:60]
        raise ConfigurationError(f"payload: expected JSON, found {found!r} in {where}: {error}") from None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):  # would be enqueued as null
        raise ValueError(f"{digits[:20]} is larger than any float")
    return value


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below; only opening may fail here
    except OSError as error:
        raise ConfigurationError(f"payload: expected a readable file, found {path}: {error.strerror}") from None
    with file:
        yield file
