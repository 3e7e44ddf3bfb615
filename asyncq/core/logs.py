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
from typing import Any, Final, TextIO

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What `extra` added to a record."""
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


class TextFormatter(logging.Formatter):
    """`12:00:01.123 INFO worker[0] task retried id=... delay_s=0.7 error="ValueError: no"`"""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {key}={_shown(value)}" for key, value in fields_of(record).items())
        line = f"{clock}.{int(record.msecs):03d} {record.levelname} {self.process} {record.getMessage()}{fields}"
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
    """One JSON object per line: ts, level, logger, process, event, and the record's own fields."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self.process,
            "event": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def as_text(form: str, stream: TextIO | None = None) -> bool:
    """Whether that form means text on this stream (default standard error)."""
    return form == "text" or (form == "auto" and (stream or sys.stderr).isatty())


def configure(
    process: str, level: str = "INFO", form: str = "auto", stream: TextIO | None = None, fields: Any = None
) -> None:
    """Send the records of this process to standard error.

    Args:
        process: What each line calls it: `supervisor`, `worker[3]`, `keeper`, ...
        level: DEBUG, INFO, WARNING or ERROR.
        form: `text`, `json`, or `auto` = text on a terminal, else json.
        stream: Default standard error.
    """
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(TextFormatter(process) if as_text(form, target) else JsonFormatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def reopen() -> None:
    pass
