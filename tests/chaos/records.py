"""Reading while it is written: the record of the tasks and the log of a process, line by line, each line once."""

import json
from pathlib import Path
from typing import Any

from tests.support.log_records import joined


class Tail:
    """The whole lines of a growing file.

    Attributes:
        lines: All that were read so far.
    """

    def __init__(self, path: Path) -> None:
        self.lines: list[str] = []
        self._path, self._offset, self._rest = path, 0, b""

    def read(self) -> list[str]:
        """The lines that are new since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            piece = file.read()
        self._offset += len(piece)
        *whole, self._rest = (self._rest + piece).split(b"\n")
        new = [line.decode(errors="replace") for line in whole]
        self.lines += new
        return new


class Record(Tail):
    """The record of the tasks.

    Attributes:
        started, done: Ids of the executions so far.
        starts: How many there were.
        first_done_at: Pid -> when it had first ended something.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.started: set[str] = set()
        self.done: set[str] = set()
        self.starts = 0
        self.first_done_at: dict[int, float] = {}

    def read(self) -> list[str]:
        new = super().read()
        for line in new:
            kind, id_, at, pid = line.split(" ")
            if kind == "S":
                self.starts += 1
                self.started.add(id_)
            elif kind == "D":
                self.done.add(id_)
                self.first_done_at.setdefault(int(pid), float(at))
        return new


class Log(Tail):
    """The JSON log of a process; other lines (a traceback of the interpreter) are kept beside it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._events: dict[str, list[dict[str, Any]]] = {}

    def read(self) -> list[str]:
        new = super().read()
        for line in new:
            if line.startswith("{"):
                event = json.loads(line)
                self._events.setdefault(event.get("event", ""), []).append(event)
        return new

    def events(self, name: str) -> list[dict[str, Any]]:
        """Records with this event name so far."""
        self.read()
        return joined(self._events.get(name, []))

    def other_lines(self) -> list[str]:
        """What is no JSON."""
        self.read()
        return [line for line in self.lines if line and not line.startswith("{")]
