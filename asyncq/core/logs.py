"""Logging set-up for the processes that asyncq itself starts: one line per record, text or JSON.

The roof calls `configure` in each process; library code only does `logging.getLogger("asyncq.<room>")` and logs a
constant event name with fields: `log.info("task retried", extra={"id": ..., "delay_s": ...})`. Never touches the
root logger of a program that merely imports asyncq.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TextIO

from asyncq.core import log_files
from asyncq.core.log_lines import (
    MAX_LINE_BYTES,
    MAX_PARTS,
    LineHandler,
    cut,
    json_line,
    json_parts,
    put,
    utf8_size,
    without_middle,
)

_log = logging.getLogger("asyncq.logs")

_files: log_files.LogFiles | None = None  # what standard output and standard error led to at first
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What `extra` added to a record."""
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


class TextFormatter(logging.Formatter):
    """`12:00:01.123 INFO worker[0] task retried id=... delay_s=0.7 error="ValueError: no"`

    Args:
        process: What each line calls this process.
        fields: Stand at the end of each line.
    """

    def __init__(self, process: str, fields: Mapping[str, Any] = MappingProxyType({})) -> None:
        super().__init__()
        self.process = process
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """A line; the rows of a traceback follow it."""
        return self._head(record) + self._body(record)

    def parts(self, record: logging.LogRecord) -> list[str]:
        """Each begins as the line does and says which part it is: `12:00:01.123 INFO worker[0] (2/3) ...`"""
        head = self._head(record)
        room = MAX_LINE_BYTES - utf8_size(f"{head}({10 * MAX_PARTS}/{10 * MAX_PARTS}) \n")
        body = without_middle(self._body(record), MAX_PARTS * room, utf8_size)
        pieces = [piece.removesuffix("\n") for piece in cut(body, room, utf8_size)]
        return [f"{head}({n}/{len(pieces)}) {piece}" for n, piece in enumerate(pieces, 1)]

    def _head(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        return f"{clock}.{int(record.msecs):03d} {record.levelname} {self.process} "

    def _body(self, record: logging.LogRecord) -> str:
        shown = {**self._fields, **fields_of(record)} if self._fields else fields_of(record)
        line = record.getMessage() + "".join(f" {key}={_shown(value)}" for key, value in shown.items())
        if record.exc_info:
            line += "".join(f"\n{printable(row)}" for row in self.formatException(record.exc_info).split("\n"))
        return line


def _shown(value: object) -> str:
    """As it is, or in double quotes when it would not read as one word."""
    text = str(value)
    is_word = text and not any(sign.isspace() or sign == '"' for sign in text)
    return printable(text if is_word else json.dumps(text, ensure_ascii=False))


def printable(text: str) -> str:
    """The same text, but signs that a terminal would obey instead of show stand as \\xHH or \\uHHHH.

    For whatever a message says on its way to a terminal: a producer must not move the cursor of those who look.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: ts, level, logger, process, constant fields, event, and the record's own fields.

    Args:
        process: What each line calls this process.
        fields: Stand in each line.
    """

    def __init__(self, process: str, fields: Mapping[str, Any] = MappingProxyType({})) -> None:
        super().__init__()
        self.process = process
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """The object, however long."""
        return json_line(self._object(record))

    def parts(self, record: logging.LogRecord) -> list[str]:
        """Several objects with `part` and `parts`, each legal by itself."""
        return json_parts(self._object(record))

    def _object(self, record: logging.LogRecord) -> dict[str, Any]:
        line: dict[str, Any] = {
            "ts": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self.process,
            **self._fields,
            "event": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return line


def as_text(form: str, stream: TextIO | None = None) -> bool:
    """Whether that form means text on this stream (default standard error)."""
    return form == "text" or (form == "auto" and (stream or sys.stderr).isatty())


def configure(
    process: str,
    level: str = "INFO",
    form: str = "auto",
    stream: TextIO | None = None,
    fields: Mapping[str, Any] | None = None,
) -> None:
    """Send the records of this process to standard error; a record that is too long for one write, in several lines.

    The first call in a tree of processes also remembers what standard output and standard error lead to, for `reopen`.

    Args:
        process: What each line calls it: `supervisor`, `worker[3]`, `keeper`, ...
        level: DEBUG, INFO, WARNING or ERROR.
        form: `text`, `json`, or `auto` = text on a terminal, else json.
        stream: Default standard error.
        fields: Stand in every line, for example `{"generation": 3}`; default none.
    """
    global _files
    if _files is None:
        _files = log_files.standing()
    target = stream or sys.stderr
    formatter = TextFormatter if as_text(form, target) else JsonFormatter
    root = logging.getLogger()
    root.handlers[:] = [LineHandler(target, formatter(process, fields or {}))]
    root.setLevel(level)


def put_line(line: bytes) -> bool:
    """Pass one line on to standard error as it is. False if nobody reads there, or there is none, and it was dropped.

    Raises:
        OSError: it is closed.
    """
    return sys.stderr is not None and put(2, line)  # where there is none, 2 may be anybody's


def reopen() -> bool:
    """After a rotation: go on in new files of the old names, where standard output and standard error lead to files.

    On a terminal or a pipe nothing happens, nor before `configure` was called. Never raises: where no file can be made,
    the old one stays open, and it is logged. May be called in a signal handler.

    Returns:
        Whether there were files to be opened again.
    """
    global _files
    _files = tuple(_reopened(file) for file in _files or ())
    return bool(_files)


def _reopened(file: log_files.LogFile) -> log_files.LogFile:
    try:
        return log_files.reopen(file)
    except OSError as error:
        _log.error("log not reopened", extra={"path": file.path, "error": str(error)})
        return file
