"""A private Redis for one measurement, pinned to a core of its own, and what it counted."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from asyncq.broker.embedded_binary import find_binary


@contextlib.contextmanager
def private_redis(binary: str | None, cpu: int | None, *, aof: bool) -> Iterator[tuple[str, str]]:
    """Start a server on a unix socket; yields (URL, "name version")."""
    found = find_binary(binary)
    folder = tempfile.mkdtemp(prefix="asyncq-bench-")
    socket = os.path.join(folder, "s")
    command = [str(found.path), "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
    command += ["--appendonly", "yes" if aof else "no", "--loglevel", "warning"]
    if cpu is not None:
        command = ["taskset", "-c", str(cpu), *command]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(unix_socket_path=socket)
        for _ in range(500):
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                break
            time.sleep(0.01)
        client.close()
        yield f"unix://{socket}", f"{Path(found.path).name} {found.version}"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def cpu_seconds(client: redis.Redis) -> float:
    """CPU time the server has used."""
    info: dict[str, Any] = client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])
