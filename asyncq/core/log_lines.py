"""Lines that a pipe takes whole: a long record is cut into several, and each line is one write.

Used by `logs` only. Several processes share one standard error, and what is longer than PIPE_BUF may be torn apart by
what another one writes at the same moment. Cutting is pure; `LineHandler` is the thin edge: it never raises into the
program, and waits only a moment for a reader who does not read.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TextIO

# PIPE_BUF of Linux, the newline included. (macOS promises only 512: there, in development, lines may still be torn.)
MAX_LINE_BYTES: Final = 4096
# A record that would be longer than about this many lines loses its middle: somebody else wrote it without end.
MAX_PARTS: Final = 64
# Every part repeats the short fields, so that it can be found and understood by itself: up to this size, and in sum.
_SHORT_CHARS: Final = 200
_REPEATED_CHARS: Final = 2000
# How long a full pipe that does not block may take to be read.
_PATIENCE_MS: Final = 100

Size = Callable[[str], int]

_encode: Final = json.JSONEncoder(default=str).encode


def json_line(fields: Mapping[str, Any]) -> str:
    """One object in ASCII, however long."""
    return _encode(fields)


def json_size(text: str) -> int:
    """Bytes of a text between its quotes."""
    return len(_encode(text)) - 2


def utf8_size(text: str) -> int:
    """Bytes of a text; what is no character is written as an escape."""
    return len(text.encode(errors="backslashreplace"))


def json_parts(fields: Mapping[str, Any]) -> list[str]:
    """An object that is too long as several: all short fields, `part`, `parts`, and pieces of the long fields.

    The pieces of a field put together are the field. A long value that is no text is cut as its JSON text.
    """
    repeated, long = _by_length(fields)
    room = MAX_LINE_BYTES - len("\n") - len(_encode({**repeated, "part": 10 * MAX_PARTS, "parts": 10 * MAX_PARTS}))
    lines: list[dict[str, str]] = [{}]
    left = room
    for key, text in long.items():
        overhead = len(_encode({key: ""}))
        whole = without_middle(text, MAX_PARTS * room // len(long), json_size)
        for piece in cut(whole, room - overhead, json_size):
            if (needed := overhead + json_size(piece)) > left:
                lines.append({})
                left = room
            lines[-1][key] = piece
            left -= needed
    return [_encode({**repeated, "part": n, "parts": len(lines), **more}) for n, more in enumerate(lines, 1)]


def _by_length(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What every part repeats, and the texts that are cut."""
    repeated: dict[str, Any] = {}
    long: dict[str, str] = {}
    left = _REPEATED_CHARS
    for key, value in fields.items():
        encoded = _encode({key: value})
        if len(encoded) <= min(_SHORT_CHARS, left):
            repeated[key] = value
            left -= len(encoded)
        else:
            long[key[:_SHORT_CHARS]] = value if isinstance(value, str) else _encode(value)
    return repeated, long


def without_middle(text: str, limit: int, size: Size) -> str:
    """Both ends of a text whose size is above the limit: where it begins and how it ends is what people look for."""
    whole = size(text)
    if whole <= limit:
        return text
    kept = len(text) * limit // whole // 2
    return f"{text[:kept]} ... {len(text) - 2 * kept} characters left out ... {text[len(text) - kept :]}"


def cut(text: str, limit: int, size: Size) -> list[str]:
    """A text in pieces up to that size; where a line ends in the last quarter of a piece, there.

    Args:
        limit: At least the size of any one sign.
        size: Of a text, at least its length: signs may be escaped, or need several bytes.
    """
    pieces = []
    while text:
        end = limit
        while end > 1 and (found := size(text[:end])) > limit:
            end = max(1, min(end - 1, len(text[:end]) * limit // found))
        if end < len(text) and (line_end := text.rfind("\n", end * 3 // 4, end)) > 0:
            end = line_end + 1
        pieces.append(text[:end])
        text = text[end:]
    return pieces


class LineFormatter(Protocol):
    """How a record becomes text."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole record, without the last newline."""

    def parts(self, record: logging.LogRecord) -> list[str]:
        """The record as several texts, each small enough for one write; asked when the whole is not."""


class LineHandler(logging.Handler):
    """Writes each line in one piece to the descriptor of a stream; or to the stream, if it has none.

    Args:
        stream: Where to; None, as where there is no standard error, means nowhere.
        lines: What a record looks like.
    """

    def __init__(self, stream: TextIO | None, lines: LineFormatter) -> None:
        super().__init__()
        self._stream = stream
        self._lines = lines
        self._fd = _descriptor(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging, under this handler's lock."""
        if self._stream is None or self._stream.closed:  # its descriptor may be somebody else's by now
            return
        try:
            lines = self._raw(record)
        except Exception as error:  # noqa: BLE001 - fence: what cannot be said must not fail what was done
            lines = self._raw(_event(logging.ERROR, "record not logged", where=record.name, error=repr(error)))
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more, or there is no room on the disk
            for line in lines:
                self._write(line)

    def _raw(self, record: logging.LogRecord) -> list[bytes]:
        whole = self._encoded(self._lines.format(record))
        if len(whole) <= MAX_LINE_BYTES:
            return [whole]
        return [self._encoded(part) for part in self._lines.parts(record)]

    def _encoded(self, line: str) -> bytes:
        return (line + "\n").encode(self._encoding, "backslashreplace")

    def _write(self, line: bytes) -> None:
        if self._fd < 0:
            assert self._stream is not None
            self._stream.write(line.decode(self._encoding))
            self._stream.flush()
            return
        if self._lost:  # first of all, how many; and no patience with who has not read for so long
            said = self._encoded(self._lines.format(_event(logging.WARNING, "log lines lost", lost=self._lost)))
            if not put(self._fd, said, 0):
                self._lost += 1
                return
            self._lost = 0
        if not put(self._fd, line):
            self._lost = 1


def put(fd: int, line: bytes, patience_ms: int = _PATIENCE_MS) -> bool:
    """Write one line, in one write as long as nobody interferes; False if nobody reads and there is no room for it.

    Also a pipe that blocks is asked first: a reader who stands still must not stop those who write.
    """
    room = select.poll()
    room.register(fd, select.POLLOUT)
    while line:
        if not room.poll(patience_ms):
            return False
        with contextlib.suppress(BlockingIOError):  # somebody else was faster
            line = line[os.write(fd, line) :]
            continue
        patience_ms = 0
    return True


def _descriptor(stream: TextIO | None) -> int:
    """-1 for what only looks like a file."""
    try:
        return -1 if stream is None else stream.fileno()
    except (OSError, ValueError, AttributeError):
        return -1


def _event(level: int, name: str, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("asyncq.logs", level, __file__, 0, name, (), None)
    record.__dict__.update(fields)
    return record
