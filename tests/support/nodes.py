"""Server processes with TCP ports, as Sentinel and Cluster need them: without data on disk, gone with this process.

Used by tests/support/cluster.py and sentinel.py. The binaries are those of every other server of the tests.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.support.states import wait_until

HOST = "127.0.0.1"
# Between this process and the server: ties it to us, as the embedded server's launcher does, then becomes it.
_LAUNCHER = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def free_port() -> int:
    """A port on which nobody listened a moment ago."""
    with socket.create_server((HOST, 0)) as listening:
        return int(listening.getsockname()[1])


class Node:
    """One server.

    Attributes:
        port: Where it listens on HOST.
        client: For looking at it, and for telling it what to do.
    """

    def __init__(self, binary: str, folder: Path, name: str, port: int, config: list[str], *arguments: str) -> None:
        self.port = port
        self.client = redis.Redis(HOST, self.port)
        self._log = folder / f"{name}.log"
        file = folder / f"{name}.conf"
        file.write_text("\n".join([f"port {port}", f"bind {HOST}", f"dir {folder}", "daemonize no", *config, ""]))
        with self._log.open("wb") as log:
            command = [sys.executable, "-c", _LAUNCHER, str(os.getpid()), binary, str(file), *arguments]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def wait_ready(self) -> None:
        """Until it answers."""
        wait_until(self._answers, timeout_s=20.0, what=f"{self._log.name} answers")

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"the server ended: {self._log.read_text(errors='replace')[-500:]}")
        with contextlib.suppress(redis.ConnectionError):
            return bool(self.client.ping())
        return False

    def replicate(self, key: str) -> None:
        """Wait until its replica has all that it has: WAIT asks for what its own connection wrote, so this writes."""
        self.client.set(key, "")
        assert self.client.wait(1, 10_000) == 1

    def pause(self) -> None:
        """SIGSTOP: its connections stand, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it, if it still runs."""
        self.client.close()
        self.kill()


class Nodes:
    """Servers in one temporary folder; on exit from the `with` none of them runs and the folder is gone."""

    def __init__(self, binary: str) -> None:
        self._binary = binary
        self._folder = Path(tempfile.mkdtemp(prefix="asyncq-nodes-"))
        self._all: list[Node] = []

    def start(self, name: str, config: list[str], *arguments: str, port: int = 0) -> Node:
        """A new server; it may not answer yet.

        Args:
            config: Lines of its configuration.
            port: 0: any free one.
        """
        self._all.append(Node(self._binary, self._folder, name, port or free_port(), config, *arguments))
        return self._all[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all of them."""
        for node in self._all:
            node.close()
        shutil.rmtree(self._folder)
