"""Processes that the rig starts: `asyncq supervise` with its children, or one plain `asyncq worker`."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.procfs import descendants
from tests.chaos.records import Log
from tests.support import proc
from tests.support.proc import alive
from tests.support.states import wait_until

ROOT = Path(__file__).resolve().parents[2]


class Running:
    """One command and what it starts.

    Args:
        name: Of its log.
        arguments: Of `python -m asyncq`.
        folder: Its current folder, where the log lies, too.
        env: Beside the environment of ours, from which everything that asyncq would read is taken away.
        wrapper: Stands before the command, for example ("unshare", "--net").

    Attributes:
        log: What it wrote to standard error.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str], wrapper: Sequence[str] = ()
    ) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("ASYNCQ_", "REDIS_URL"))}
        path = folder / f"{name}.log"
        with path.open("ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "asyncq", *arguments, "--log-format", "json"],
                cwd=folder,
                env={**clean, "PYTHONPATH": str(ROOT), **env},
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        self.log = Log(path)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait(self, timeout_s: float = 60) -> int:
        """Its exit code."""
        return self.process.wait(timeout_s)

    def signal(self, *numbers: signal.Signals) -> None:
        """Send signals one after the other, each when the one before has arrived."""
        for number in numbers:
            self.process.send_signal(number)
            wait_until(lambda number=number: not proc.is_pending(self.pid, number), what=f"{number.name} arrives")

    def stop(self, timeout_s: float = 60) -> int:
        """SIGTERM and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def pids(self) -> list[int]:
        """Of every process of ours that is alive."""
        return [self.pid] if alive(self.pid) else []

    def end(self) -> None:
        """Whatever happened, leave nothing behind."""
        pids = self.pids()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pid in pids:
            if alive(pid) and pid != self.pid:
                send(pid, signal.SIGCONT)  # what stands still does not notice that its parent is gone
        wait_until(lambda: not any(alive(pid) for pid in pids), 10, f"nothing is left of {pids}")


class Worker(Running):
    """A process without a supervisor."""

    def workers(self) -> list[int]:
        """Itself."""
        return [self.pid]


class Fleet(Running):
    """A supervisor and its children."""

    def ready(self, timeout_s: float = 60) -> "Fleet":
        """Wait for the first full set."""
        wait_until(lambda: self.log.events("ready") or self.process.poll() is not None, timeout_s, "ready")
        assert self.process.poll() is None, self.log.lines[-20:]
        return self

    def workers(self) -> list[int]:
        """Pids of those that are ready and alive."""
        return self._living("worker")

    def keepers(self) -> list[int]:
        """The pid of the keeper, unless it is being replaced."""
        return self._living("keeper")

    def _living(self, role: str) -> list[int]:
        ready = {event["pid"] for event in self.log.events("child ready") if event["role"] == role}
        dead = {event["pid"] for event in self.log.events("child died")}
        return sorted(pid for pid in ready - dead if alive(pid))

    def pids(self) -> list[int]:
        return [*super().pids(), *descendants(self.pid)]

    def page(self, path: str = "/metrics") -> str:
        """What the admin process answers."""
        base = self.log.events("supervising")[0]["metrics"].removesuffix("/metrics")
        with urllib.request.urlopen(base + path, timeout=10) as answer:
            return str(answer.read().decode())


STANDING = ("T", "Z", "X", "")


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False if there is no such process any more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
