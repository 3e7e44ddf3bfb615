"""Every real server that tests run against: the wheel's and those on PATH, each started at most once.

Used by tests/conftest.py, the only place where a server without a task of its own is started. A server started here
has no data on disk and ends with this process at the latest.
"""

import os
import subprocess
from functools import cache
from types import TracebackType
from typing import Self

from asyncq.broker import embedded
from asyncq.broker.embedded_binary import ServerBinary, find_binary, in_wheel
from asyncq.core.errors import ConfigurationError

NAMES = ("redis-server", "valkey-server")


@cache
def of_wheel() -> tuple[ServerBinary, ...]:
    """The server of the extra `embedded`, if that is installed."""
    return tuple(find_binary(path) for path in in_wheel()[:1])


@cache
def on_path() -> tuple[ServerBinary, ...]:
    """Every server on PATH that is new enough; each once, however many links lead to it."""
    paths = [os.path.join(folder, name) for folder in os.get_exec_path() for name in NAMES]
    programs = {os.path.realpath(path): path for path in reversed(paths) if os.access(path, os.X_OK)}
    found = []
    for path in reversed(programs.values()):
        try:
            found.append(find_binary(path))
        except ConfigurationError:  # too old, or no server at all
            continue
    return tuple(found)


def label(binary: ServerBinary) -> str:
    """For names of tests: `redis-server-7.0.15`."""
    return f"{os.path.basename(binary.path)}-{binary.version}"


class RedisServers:
    """The servers that run for this session; on exit from the `with` none of them runs."""

    def __init__(self) -> None:
        self._running: dict[str, embedded.EmbeddedServer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for server in self._running.values():
            server.stop()

    def socket(self, path: str) -> str:
        """Path of the unix socket of the server with this binary."""
        if path not in self._running:
            self._running[path] = embedded.start_ephemeral(path)
        return self._running[path].plan.socket


@cache
def why_without_tls(path: str) -> str:
    """Why this server cannot speak TLS, in its own words; "" if it can.

    Started with a TLS port and no certificate it ends at once either way; one that knows TLS misses the certificate.
    Not asked with CONFIG SET: a Valkey built without TLS answers that by crashing.
    """
    command = [path, "--port", "0", "--tls-port", "1", "--bind", "127.0.0.1", "--save", ""]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False)
    said = done.stdout + done.stderr
    return "" if "tls-cert-file" in said else f"{path}: {said.strip().splitlines()[-1].partition(' # ')[2]}"
