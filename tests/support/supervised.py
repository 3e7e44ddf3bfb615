"""Runs `toy_supervisor` in a process of its own and waits for what it says."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
TOYS = "tests.support.toy_children"

Line = dict[str, Any]


def _pipe_without_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


class Supervised:
    """A running toy supervisor; on exit from the `with` nothing of it is left.

    Args:
        specs: ChildSpec fields, one dict per role; `target` may be the bare name of a toy.
        settings: SupervisorSettings fields.
        wrapper: Put before the command, for example unshare.
        refuse_forks: How many forks fail as with a full process table.
        without_pidfd: As on a system that has none.
        preload: The toy that a zygote calls for specs with `from_zygote`.
        stderr_unread: Whoever read its standard error has gone.
    """

    def __init__(
        self,
        *specs: Line,
        wrapper: tuple[str, ...] = (),
        refuse_forks: int = 0,
        without_pidfd: bool = False,
        stderr_unread: bool = False,
        preload: str = "preload",
        **settings: Any,
    ) -> None:
        full = [{**spec, "target": f"{TOYS}:{spec['target']}"} for spec in specs]
        switches = {"refuse_forks": refuse_forks, "without_pidfd": without_pidfd, "preload": preload}
        config = json.dumps({"specs": full, "settings": settings, **switches})
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        stderr = _pipe_without_reader() if stderr_unread else os.dup(self._stderr.fileno())
        command = [*wrapper, sys.executable, "-m", "tests.support.toy_supervisor", config]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr)
        os.close(stderr)
        assert self.process.stdout is not None
        self._out = self.process.stdout.fileno()
        os.set_blocking(self._out, False)
        self._rest = b""
        self.lines: list[Line] = []
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            print("stderr of the supervisor:\n" + self.stderr())
            print("events:", *self.lines, sep="\n")
        if self.process.poll() is None:
            self.process.kill()  # its children die with it
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._stderr.close()

    def stderr(self) -> str:
        """What has been written to standard error so far."""
        self._stderr.flush()
        self._stderr.seek(0)
        return self._stderr.read()

    def logged(self, event: str) -> list[Line]:
        """Records of the log with this event name."""
        records = [json.loads(line) for line in self.stderr().splitlines() if line.startswith("{")]
        return [record for record in records if record["event"] == event]

    def next(self, event: str, timeout_s: float = 15.0, **fields: Any) -> Line:
        """The next event of this kind with these fields, after the last one that was asked for."""
        deadline = time.monotonic() + timeout_s
        while True:
            while self._seen < len(self.lines):
                line = self.lines[self._seen]
                self._seen += 1
                if line["event"] == event and all(line.get(key) == value for key, value in fields.items()):
                    return line
            left = deadline - time.monotonic()
            assert left > 0, f"no {event} {fields} within {timeout_s} s"
            self._read(left)

    def all(self, event: str) -> list[Line]:
        """Every event of this kind so far."""
        self._read(0)
        return [line for line in self.lines if line["event"] == event]

    def ready_pids(self, count: int) -> list[int]:
        """Wait for the first full set; the pids of its workers by index."""
        self.next("AllReady")
        found = {line["index"]: line["pid"] for line in self.all("ChildReady") if line["role"] == "worker"}
        assert len(found) == count
        return [found[index] for index in range(count)]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the arbiter."""
        self.process.send_signal(number)

    def finish(self, timeout_s: float = 15.0) -> int:
        """Wait for the end; the exit code."""
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None:  # reading on: a full pipe would hold the arbiter up
            assert time.monotonic() < deadline, f"still running after {timeout_s} s"
            self._read(0.01)
        self._read(0)
        return self.process.returncode

    def _read(self, timeout_s: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ)
            if selector.select(timeout_s):
                while piece := self._piece():
                    self._rest += piece
        *whole, self._rest = self._rest.split(b"\n")
        self.lines += [json.loads(line) for line in whole]

    def _piece(self) -> bytes:
        try:
            return os.read(self._out, 65536)
        except BlockingIOError:
            return b""
