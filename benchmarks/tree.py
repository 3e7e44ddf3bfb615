"""A supervisor and its children under measurement: started on a private Redis, read from its log and from /proc. Linux.

The app is that of examples/signup and one task more, which writes down when it starts and ends. Moments of the log and
of the record are those of the processes that wrote them, so that reading late costs no accuracy.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from benchmarks.procfs import descendants

ROOT: Final = Path(__file__).resolve().parents[1]
QUEUE: Final = "task_queue"
APP: Final = """
import asyncio, os, time
from asyncq import task
from examples.signup import tasks  # what a worker of the example imports

_record = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _note(kind, n):
    os.write(_record, f"{kind} {n} {time.time():.6f} {os.getpid()}\\n".encode())


@task("work", queue="task_queue")
async def work(payload):
    _note("S", payload["n"])
    await asyncio.sleep(payload["sleep"])
    _note("E", payload["n"])


@task("noop", queue="task_queue")
async def noop(payload): ...
"""

Row = dict[str, Any]


def waited(
    state: Callable[[], Any], what: str, timeout_s: float = 60.0, *, meanwhile: Callable[[], object] = lambda: None
) -> Any:
    """Wait for a state and return it; `meanwhile` is called before each look.

    Raises:
        TimeoutError: it does not come.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        meanwhile()
        if found := state():
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s} s: {what}")
        time.sleep(0.005)


class Tree:
    """One `asyncq supervise` in a folder; on exit from the `with` nothing of it is left."""

    def __init__(self, folder: Path, url: str, *flags: str) -> None:
        (folder / "tasks.py").write_text(APP)
        self._record = (folder / "record").open("w+")
        environ = {key: value for key, value in os.environ.items() if not key.startswith("ASYNCQ_")}
        environ |= {"ASYNCQ_REDIS_URL": url, "PYTHONPATH": str(ROOT), "RECORD": str(folder / "record")}
        command = [sys.executable, "-m", "asyncq", "supervise", "--metrics-port", "0", "--log-format", "json", *flags]
        self.process = subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True)
        self._events: dict[str, list[Row]] = {}
        self.other_lines: list[str] = []
        self.started: dict[int, list[tuple[float, int]]] = {}
        self.ended: set[int] = set()
        self.useful: set[int] = set()
        self._rest = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        try:
            waited(lambda: self.of("ready") or self.process.poll() is not None, "the supervisor is ready")
            if self.process.poll() is not None:
                raise RuntimeError("the supervisor ended before it was ready: " + " ".join(self.other_lines[-3:]))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        self._record.close()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("{"):
                event = json.loads(line)
                self._events.setdefault(event["event"], []).append(event)
            else:
                self.other_lines.append(line.rstrip())

    def of(self, name: str, **fields: object) -> list[Row]:
        """Records of the log so far."""
        found = list(self._events.get(name, ()))
        return [event for event in found if all(event.get(key) == value for key, value in fields.items())]

    def living(self, role: str) -> dict[int, int]:
        """Pid -> index of the children of that role that are ready and have not died."""
        dead = {event["pid"] for event in self.of("child died")}
        return {event["pid"]: event["index"] for event in self.of("child ready", role=role) if event["pid"] not in dead}

    def look_at_record(self) -> None:
        """Take in what the tasks have written down since the last look."""
        *whole, self._rest = (self._rest + self._record.read()).split("\n")
        for line in whole:
            kind, n, at, pid = line.split(" ")
            if kind == "S":
                self.started.setdefault(int(n), []).append((float(at), int(pid)))
            else:
                self.ended.add(int(n))
                self.useful.add(int(pid))

    def held_by(self, pid: int) -> list[int]:
        """Messages that this process started last and did not end."""
        self.look_at_record()
        return [n for n, starts in self.started.items() if n not in self.ended and starts[-1][1] == pid]

    def pids(self) -> list[int]:
        """The supervisor's and of everybody below it."""
        return [self.process.pid, *descendants(self.process.pid)]


def bodies(numbers: Sequence[int], sleep_s: float) -> list[bytes]:
    """Messages for `work`."""
    return [
        json.dumps(
            {"id": f"m{n}", "name": "work", "payload": {"n": n, "sleep": sleep_s}, "timestamp": time.time()}
        ).encode()
        for n in numbers
    ]
