"""A real `asyncq-supervise` in a folder of its own, driven as a user would."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.procfs import descendants
from tests.support import proc
from tests.support.log_records import joined
from tests.support.states import wait_until

TASKS = '''
import asyncio, json, os, time
from asyncq import task

RECORD = os.environ["RECORD"]

def record(**fields):
    """One line per execution in a file that survives kill -9."""
    line = "\\n" + json.dumps({"at": time.time(), "pid": os.getpid(), **fields}) + "\\n"
    fd = os.open(RECORD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, line.encode())
    os.close(fd)

@task("note")
async def note(payload):
    await asyncio.sleep(payload.get("sleep", 0))  # sleeps: the payload says how long it takes
    record(name="note", n=payload["n"])

@task("hold")
async def hold(payload):
    record(name="hold", n=payload["n"])
    await asyncio.sleep(payload.get("sleep", 60))  # sleeps: the payload says how long it takes
    record(name="held", n=payload["n"])

@task("fail")
async def fail(payload):
    record(name="fail", n=payload["n"])
    raise ValueError("it always fails")
'''


class Fleet:
    """One supervisor and its children; or another command of ours that runs until it is stopped.

    Args:
        folder: Its current folder, where its app and the record of its tasks lie.
        redis_url: Where Redis answers; None: it has to find one by itself.
        flags: Of the command.
        tasks: Source of the app.
        command: Of `python -m asyncq`.
        wrapper: Stands before the whole command, for example ("unshare", "--pid").
        env: Beside the environment of ours.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str | None,
        *flags: str,
        tasks: str = TASKS,
        command: str = "supervise",
        wrapper: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.record = folder, folder / "record.jsonl"
        (folder / "tasks.py").write_text(tasks)
        self.record.touch()
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("ASYNCQ_", "REDIS_URL"))}
        environ |= {"RECORD": str(self.record), **(env or {})}
        if redis_url is not None:
            environ["ASYNCQ_REDIS_URL"] = redis_url
        port = ["--metrics-port", "0"] if command == "supervise" else []
        arguments = [*wrapper, sys.executable, "-m", "asyncq", command, *port, "--log-format", "json", *flags]
        self.process = subprocess.Popen(arguments, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log records of that event so far."""
        found = []
        for line in list(self.lines):
            if line.startswith("{") and f'"event": "{name}"' in line:
                found.append(json.loads(line))
        return joined(found)

    def ready(self, timeout_s: float = 20) -> "Fleet":
        wait_until(lambda: self.events("ready") or self.process.poll() is not None, timeout_s, "ready")
        assert self.process.poll() is None, "\n".join(self.lines)
        return self

    def pids(self, role: str) -> list[int]:
        """Of the children of that role that are alive, in the order they got ready."""
        pids = [event["pid"] for event in self.events("child ready") if event["role"] == role]
        return [pid for pid in pids if proc.alive(pid)]

    def tree(self) -> list[int]:
        """Pids of the supervisor, its children and theirs that are alive."""
        return [pid for pid in (self.process.pid, *descendants(self.process.pid)) if proc.alive(pid)]

    def ran(self, name: str) -> list[dict[str, Any]]:
        """Executions so far. A line whose writer was killed in the middle of it counts as not written."""
        found = []
        for line in self.record.read_text().split("\n"):
            if line.endswith("}"):
                row = json.loads(line)
                if row["name"] == name:
                    found.append(row)
        return found

    def get(self, path: str) -> tuple[int, str]:
        """An answer of the admin process."""
        base = self.events("supervising")[0]["metrics"].removesuffix("/metrics")
        try:
            with urllib.request.urlopen(base + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def stop(self, *signals: int, timeout_s: float = 40) -> int:
        """Send the signals (default SIGTERM) and return the exit code."""
        for number in signals or (signal.SIGTERM,):
            self.process.send_signal(number)
            # Signals of one kind that are pending together arrive once.
            wait_until(
                lambda number=number: not proc.is_pending(self.process.pid, number), what=f"signal {number} arrives"
            )
        code = self.process.wait(timeout_s)
        self._reader.join(5)
        return code

    def end(self) -> None:
        """Whatever happened, leave nothing behind."""
        living = self.tree() if self.process.poll() is None else []
        if living:
            self.process.kill()
        self.process.wait()
        for pid in living[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)  # who stands still does not see that the supervisor has gone
        self._reader.join(5)
        assert self.process.stderr is not None
        self.process.stderr.close()


def message(name: str, n: int, **payload: object) -> bytes:
    """The bytes a producer would push."""
    fields = {"id": f"{name}-{n}", "name": name, "payload": {"n": n, **payload}, "timestamp": time.time()}
    return json.dumps(fields).encode()
