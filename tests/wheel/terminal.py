"""A command at a terminal of its own, in a folder and an environment that a user would have; and what is left of it.

Used by the test that follows the README. Linux and macOS.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.states import wait_until


class Terminal:
    """One line of a shell, running; on exit from the `with` it has ended."""

    def __init__(self, line: str, folder: Path, environ: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        command = ["/bin/sh", "-c", f"exec {line}"]  # exec: signals reach the command itself
        self.process = subprocess.Popen(
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave
        )
        os.close(slave)
        self._said = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                said = os.read(self._master, 65536)
            except OSError:  # EIO: nobody holds the other end any more
                return
            if not said:
                return
            self._said += said

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return bytes(self._said).decode(errors="replace").replace("\r\n", "\n")

    def shows(self, text: str, times: int = 1, timeout_s: float = 30) -> None:
        """Wait until the screen holds this text that often, or fail with what it holds."""
        wait_until(
            lambda: self.text.count(text) >= times or self.process.poll() is not None, timeout_s, f"{text} x {times}"
        )
        assert times == self.text.count(text), self.text

    def terminate(self, timeout_s: float = 30) -> int:
        """Send SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()  # its children die with it
        self.process.wait()
        self._reader.join(5)
        os.close(self._master)
        if error is not None:
            print(f"the terminal showed:\n{self.text}")


def processes_in(folder: Path) -> list[str]:
    """Commands that still run somewhere below a folder. Needs /proc; empty elsewhere."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if folder in (here := Path(os.readlink(process / "cwd")), *here.parents):
                found.append(f"{process.name}: {(process / 'cmdline').read_bytes().decode(errors='replace')}")
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found
