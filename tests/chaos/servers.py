"""A redis-server of the rig's own, on a unix socket in its folder: killed with kill -9, started again on its data."""

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.support.states import wait_until

Persistence = Literal["none", "everysec", "always"]

START_TIMEOUT_S = 60.0


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class RedisServer:
    """One server process at a time on one folder of data.

    Args:
        binary: Of the server.
        folder: Exists; its path is short enough for a socket in it.
        persistence: none; or an append-only file, synced every second or always.
        flags: More of the server's own, for example ("--maxmemory", "50mb").
        bind: An address to listen on besides the socket; then `port` is a free one.

    Attributes:
        url: What producers and workers are given.
        client: For looking; tries again while the server is away. Not for counting what it has accepted.
    """

    def __init__(
        self,
        binary: str,
        folder: Path,
        persistence: Persistence = "none",
        flags: Sequence[str] = (),
        bind: str = "",
    ) -> None:
        self.folder, self.socket = folder, str(folder / "s")
        self.url = f"unix://{self.socket}"
        self.port = free_port() if bind else 0
        listen = ["--port", str(self.port), *(["--bind", bind, "--protected-mode", "no"] if bind else [])]
        append = ["--appendonly", "no" if persistence == "none" else "yes"]
        append += ["--appendfsync", "always" if persistence == "always" else "everysec"]
        self._command = [binary, *listen, "--unixsocket", self.socket, "--dir", str(folder), "--save", ""]
        self._command += [*append, "--logfile", str(folder / "redis.log"), *flags]
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(
            unix_socket_path=self.socket,
            retry=Retry(ConstantBackoff(0.05), 200),
            retry_on_error=[redis.ConnectionError],
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when it answers, all data loaded."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until(self._answers, START_TIMEOUT_S, f"the server answers; see {self.folder}/redis.log")

    def kill(self) -> None:
        """Kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Like `kill`, and for good: the client is closed."""
        self.client.close()
        self.kill()

    def pause(self) -> None:
        """It stands still; its connections stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "redis.log").read_text()[-2000:]
        try:
            with redis.Redis(unix_socket_path=self.socket) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
