"""Starting says what this Redis can lose: once, in the form of the log, and without waiting for Redis."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from asyncq.broker import embedded
from tests.support.fleet import Fleet
from tests.support.states import wait_until

SAYS = "persists nothing: when it ends, every message and every result is lost; set appendonly yes"
Start = Callable[..., Fleet]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    fleets: list[Fleet] = []

    def begin(url: str | None, *flags: str, **more: str) -> Fleet:
        fleets.append(Fleet(tmp_path, url, *flags, **more))
        return fleets[-1]

    yield begin
    for fleet in fleets:
        fleet.end()


def said(fleet: Fleet) -> list[tuple[str, str, str]]:
    return [(event["process"], event["level"], event["finding"]) for event in fleet.events("what redis can lose")]


def test_supervisor_says_it_once_as_an_event(redis_url: str, start: Start) -> None:
    fleet = start(redis_url, "--procs", "2").ready()
    wait_until(lambda: said(fleet))
    assert fleet.stop() == 0
    assert said(fleet) == [("keeper", "warning", SAYS)]


def test_worker_without_a_supervisor_says_it_once(redis_url: str, start: Start) -> None:
    fleet = start(redis_url, command="worker")
    wait_until(lambda: said(fleet))
    assert fleet.stop() == 0
    assert said(fleet) == [("worker", "warning", SAYS)]


def test_text_says_it_in_one_line(redis_url: str, start: Start) -> None:
    fleet = start(redis_url, "--log-format", "text", command="worker")
    wait_until(lambda: any(SAYS in line for line in fleet.lines))
    assert fleet.stop() == 0
    assert [line for line in fleet.lines if "this Redis" in line] == [f"  WARNING    this Redis {SAYS}"]


def test_start_does_not_wait_for_a_redis_that_is_away(
    start: Start, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("redis")
    socket = folder / "s"
    fleet = start(f"unix://{socket}", "--procs", "1").ready()
    assert said(fleet) == []
    command = [redis_server, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    server = subprocess.Popen([*command, "--appendonly", "yes"], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: said(fleet), 15)
        assert fleet.stop() == 0
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)
    ((process, level, finding),) = said(fleet)
    assert (process, level) == ("keeper", "info")
    assert finding.startswith("can lose the last second or two of what it acknowledged")


def test_embedded_server_is_not_spoken_of_because_it_appends(tmp_path: Path, redis_server: str, start: Start) -> None:
    with (
        embedded.start(embedded.plan(tmp_path, redis_server)) as server,
        redis.Redis(unix_socket_path=server.plan.socket) as client,
    ):

        def asked() -> int:
            return int(client.info("commandstats").get("cmdstat_config|get", {}).get("calls", 0))

        named = start(server.url, command="worker")
        wait_until(lambda: said(named))
        before = asked()
        own = start(None, command="worker")
        wait_until(lambda: asked() > before)
        assert [fleet.stop() for fleet in (named, own)] == [0, 0]
    assert [level for _, level, _ in said(named)] == ["info"]  # named, so that it may be any Redis
    assert "embedded Redis, running" in own.events("working")[0]["redis"]
    assert said(own) == []
