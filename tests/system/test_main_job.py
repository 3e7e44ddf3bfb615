"""The main job as a user does it: a real supervisor, real processes, a real server, kill -9, SIGTERM."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from asyncq.broker.embedded_binary import find_binary
from asyncq.core.retry import RetryPolicy
from tests.support.fleet import Fleet, message
from tests.support.metrics_page import counters
from tests.support.proc import alive
from tests.support.states import wait_until

Start = Callable[..., Fleet]

LATE_S = 0.5  # what a busy machine may add to a delay; on an idle one it is a few milliseconds


@pytest.fixture
def start(tmp_path: Path, redis_url: str) -> Iterator[Start]:
    """Start supervisors on the test's database; end them whatever happens."""
    fleets: list[Fleet] = []

    def begin(*flags: str, url: str | None = redis_url, folder: Path = tmp_path, **more: str) -> Fleet:
        fleets.append(Fleet(folder, url, *flags, **more))
        return fleets[-1]

    yield begin
    for fleet in fleets:
        fleet.end()


def in_flight(client: redis.Redis) -> list[bytes]:
    return [key for part in ("inflight", "inbox", "lease") for key in client.keys(f"asyncq:*:{part}:*")]


def test_nothing_is_lost_and_no_counter_falls_when_a_worker_is_killed(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "2", "--per-proc", "20").ready()
    total = 3000
    raw_redis.rpush("task_queue", *(message("note", n, sleep=0.02) for n in range(total)))
    wait_until(lambda: len(fleet.ran("note")) > total // 4)
    before = counters(fleet.get("/metrics")[1])
    victim = fleet.pids("worker")[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len({row["n"] for row in fleet.ran("note")}) == total, 30)
    after = counters(fleet.get("/metrics")[1])

    assert set(range(total)) == {row["n"] for row in fleet.ran("note")}
    assert len(fleet.ran("note")) - total <= 20  # at most what the killed process ran
    assert [] == [key for key in before if after[key] < before[key]]
    assert 0 == fleet.stop()
    assert [] == in_flight(raw_redis)
    assert 0 == raw_redis.llen("task_queue")


def test_what_a_killed_worker_held_is_handed_back_at_once(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "1").ready()
    raw_redis.rpush("task_queue", *(message("hold", n) for n in range(5)))
    wait_until(lambda: len(fleet.ran("hold")) == 5)
    killed_at = time.time()
    os.kill(fleet.pids("worker")[0], signal.SIGKILL)
    wait_until(lambda: len(fleet.ran("hold")) == 10)

    again = fleet.ran("hold")[5:]
    assert [0, 1, 2, 3, 4] == sorted(row["n"] for row in again)
    assert max(row["at"] for row in again) - killed_at < 5  # far below the lease: it was handed back, not expired
    told = {"given back": "handed_back", "reaped": "handed_back"}  # whichever of order and look-around comes first
    wait_until(lambda: 5 == sum(event[key] or 0 for name, key in told.items() for event in fleet.events(name)))
    page = counters(fleet.get("/metrics")[1])
    assert 5 == page["asyncq_tasks_redelivered_total", ("task_queue", "worker_lost")]
    assert 1 == page["asyncq_worker_restarts_total", ("killed",)]


def test_a_failing_message_runs_three_times_and_becomes_a_dead_letter(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "2").ready()
    raw_redis.rpush("task_queue", message("fail", 1), *(message("note", n) for n in range(20)))
    wait_until(lambda: raw_redis.zcard("asyncq:{task_queue}:task_queue:dead") == 1)

    first, second, third = (row["at"] for row in fleet.ran("fail"))
    one, two = (event["delay_s"] for event in fleet.events("task will be retried"))
    shortest_s = RetryPolicy().base_s / 2
    assert shortest_s <= one <= 2 * shortest_s <= two <= 4 * shortest_s
    assert one - 0.01 <= second - first < one + LATE_S
    assert two - 0.01 <= third - second < two + LATE_S
    assert 20 == len(fleet.ran("note"))
    (record,) = raw_redis.hvals("asyncq:{task_queue}:task_queue:dead:records")  # type: ignore[misc]
    header = json.loads(record.partition(b"\n")[0])
    assert ("exhausted", 3) == (header["reason"], header["attempt"])
    assert 'raise ValueError("it always fails")' in header["traceback"]


def test_messages_of_redis_cli_are_run_and_bad_ones_stop_nobody(
    start: Start, raw_redis: redis.Redis, redis_socket: str
) -> None:
    fleet = start("--procs", "1", "--unknown-task-park", "0").ready()
    cli = shutil.which("redis-cli") or shutil.which("valkey-cli")
    good = message("note", 1).decode()
    for body in ("{", "[]", '{"id": 1}', message("nobody", 2).decode(), good):
        if cli:
            subprocess.run([cli, "-s", redis_socket, "RPUSH", "task_queue", body], check=True, capture_output=True)
        else:
            raw_redis.rpush("task_queue", body)
    wait_until(lambda: fleet.ran("note"))
    wait_until(lambda: raw_redis.zcard("asyncq:{task_queue}:task_queue:dead") == 4)

    records = raw_redis.hvals("asyncq:{task_queue}:task_queue:dead:records")
    assert ["malformed", "malformed", "malformed", "unknown_task"] == sorted(
        json.loads(record.partition(b"\n")[0])["reason"]
        for record in records  # type: ignore[union-attr]
    )
    assert 1 == len(fleet.pids("worker"))
    assert [] == fleet.events("child died")


NODE = """
const { createClient } = require("redis");
(async () => {
  const client = createClient({ socket: { path: process.argv[2] } });
  await client.connect();
  await client.rPush("task_queue", JSON.stringify(
    { id: crypto.randomUUID(), name: "note", payload: { n: 7 }, timestamp: Date.now() / 1000 }));
  await client.quit();
})();
"""


@pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="needs node and npm")
def test_a_message_of_nodes_redis_package_is_run(
    start: Start, redis_socket: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("node")
    (folder / "push.js").write_text(NODE)
    install = ["npm", "install", "--no-fund", "--no-audit", "redis@5"]
    got = subprocess.run(install, cwd=folder, capture_output=True, check=False)
    if got.returncode:
        pytest.skip(f"npm could not fetch the redis package: {got.stderr.decode()[-200:]}")
    fleet = start("--procs", "1").ready()
    subprocess.run(["node", "push.js", redis_socket], cwd=folder, check=True, timeout=30)

    wait_until(lambda: fleet.ran("note"))
    assert [7] == [row["n"] for row in fleet.ran("note")]


def test_at_most_once_is_k_clients_blocked_in_their_own_blpop(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "2", "--per-proc", "7", "--delivery", "at-most-once").ready()

    def blocked() -> int:
        return sum(client["cmd"] == "blpop" and "b" in client["flags"] for client in raw_redis.client_list())

    wait_until(lambda: blocked() >= 14)
    popping = [c for c in raw_redis.client_list() if c["cmd"] == "blpop" and c["name"] == "asyncq:popper"]
    assert 14 == len(popping)
    raw_redis.rpush("task_queue", *(message("note", n) for n in range(500)))
    wait_until(lambda: len(fleet.ran("note")) == 500)
    assert 0 == fleet.stop()
    assert 500 == len(fleet.ran("note"))


class TestStopping:
    def test_a_drain_finishes_what_runs(self, start: Start, raw_redis: redis.Redis) -> None:
        fleet = start("--procs", "1", "--per-proc", "2").ready()
        raw_redis.rpush("task_queue", *(message("hold", n, sleep=1) for n in range(4)))
        wait_until(lambda: len(fleet.ran("hold")) == 2)

        assert 0 == fleet.stop()
        assert ([0, 1], 2) == (sorted(row["n"] for row in fleet.ran("held")), raw_redis.llen("task_queue"))
        assert [] == in_flight(raw_redis)

    def test_a_second_signal_hands_back_what_runs(self, start: Start, raw_redis: redis.Redis) -> None:
        fleet = start("--procs", "1").ready()
        raw_redis.rpush("task_queue", message("hold", 1))
        wait_until(lambda: fleet.ran("hold"))

        assert 75 == fleet.stop(signal.SIGTERM, signal.SIGTERM)
        assert ([message("hold", 1)[:20]], []) == (
            [raw[:20] for raw in raw_redis.lrange("task_queue", 0, -1)],  # type: ignore[union-attr]
            in_flight(raw_redis),
        )

    def test_a_passed_deadline_hands_back_and_says_so(self, start: Start, raw_redis: redis.Redis) -> None:
        fleet = start("--procs", "1", "--drain-timeout", "0.5").ready()
        raw_redis.rpush("task_queue", message("hold", 1))
        wait_until(lambda: fleet.ran("hold"))

        assert 75 == fleet.stop()
        assert 1 == raw_redis.llen("task_queue")

    def test_no_process_survives_the_supervisor(self, start: Start, raw_redis: redis.Redis) -> None:
        fleet = start("--procs", "2").ready()
        pids = [pid for role in ("worker", "keeper", "admin") for pid in fleet.pids(role)]
        raw_redis.rpush("task_queue", message("hold", 1))
        wait_until(lambda: fleet.ran("hold"))
        fleet.process.kill()
        wait_until(lambda: not any(alive(pid) for pid in pids), 2)

        assert 4 == len(pids)

    def test_the_next_supervisor_on_this_host_takes_over_at_once(self, start: Start, raw_redis: redis.Redis) -> None:
        fleet = start("--procs", "1").ready()
        raw_redis.rpush("task_queue", message("hold", 1))
        wait_until(lambda: fleet.ran("hold"))
        fleet.process.kill()
        fleet.process.wait()
        successor = start("--procs", "1").ready()
        wait_until(lambda: len(successor.ran("hold")) == 2, 5)


def test_the_service_manager_is_told_when_it_is_ready_and_when_it_stops(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        fleet = start("--procs", "1")
        told = manager.recv(4096).decode()
        while "READY=1" not in told:
            told = manager.recv(4096).decode()
        assert fleet.ready()
        assert fleet.stop() == 0
        manager.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                told += manager.recv(4096).decode()

    assert "STOPPING=1" in told


class TestRedisAway:
    def test_it_is_said_once_and_retried_until_redis_comes(self, start: Start, tmp_path: Path) -> None:
        path = str(tmp_path / "s")
        fleet = start("--procs", "1", url=f"unix://{path}").ready()
        wait_until(lambda: any(e["process"] == "worker[0]" for e in fleet.events("redis is away, trying again")))
        assert 503 == fleet.get("/readyz")[0]
        assert 200 == fleet.get("/livez")[0]
        command = [str(find_binary(None).path), "--port", "0", "--unixsocket", path, "--save", ""]
        server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: fleet.get("/readyz")[0] == 200)
            client = redis.Redis(unix_socket_path=path)
            client.rpush("task_queue", message("note", 1))
            client.close()
            wait_until(lambda: fleet.ran("note"))
            said = [e for e in fleet.events("redis is away, trying again") if e["process"] == "worker[0]"]
            assert 1 == len(said)
            assert path in said[0]["error"]
            assert 0 == fleet.stop()
        finally:
            server.kill()
            server.wait()


class TestEmbedded:
    def test_without_a_redis_it_brings_its_own_and_keeps_the_data(
        self, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", 6379)) == 0:
                pytest.skip("a Redis answers on localhost:6379")
        fleet = start("--procs", "1", url=None).ready()
        said = fleet.events("supervising")[0]["redis"]
        assert "embedded" in said
        path = json.loads((tmp_path / ".asyncq" / "redis.json").read_text())["socket"]
        assert f" at unix://{path}" in said
        enqueue = [sys.executable, "-m", "asyncq", "enqueue", "note", '{"n": 1}']
        env = {key: value for key, value in os.environ.items() if key not in ("ASYNCQ_REDIS_URL", "REDIS_URL")}
        env["RECORD"] = str(fleet.record)
        subprocess.run(enqueue, cwd=tmp_path, env=env, check=True, capture_output=True)
        wait_until(lambda: fleet.ran("note"))
        (server,) = fleet.pids("redis")
        os.kill(server, signal.SIGKILL)  # restarted like any child
        wait_until(lambda: fleet.pids("redis") not in ([], [server]))
        again = {"cwd": tmp_path, "env": env, "capture_output": True, "check": False}
        wait_until(lambda: subprocess.run(enqueue, **again).returncode == 0)
        wait_until(lambda: len(fleet.ran("note")) == 2)

        assert 0 == fleet.stop()
        assert not alive(fleet.events("child ready")[0]["pid"])
        assert not os.path.exists(os.path.dirname(path))


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (["--procs", "many"], 2, "--procs: expected 'auto' or a whole number"),
        (["--app", "no.such.module"], 3, "cannot import the app 'no.such.module'"),
        (["--redis", "http://x"], 2, "--redis: expected"),
        (["--queue", "a{b"], 2, "a{b"),
        (["--metrics-host", "192.0.2.1"], 2, "--metrics-host: expected an address of this machine"),
        (["--no-such-flag"], 2, "no-such-flag"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_its_exit_code(
    start: Start, flags: list[str], code: int, sentence: str
) -> None:
    fleet = start(*flags)

    assert code == fleet.process.wait(20)
    fleet.end()
    said = [line for line in fleet.lines if not line.startswith("{")]
    assert 1 == len(said), said
    assert sentence in said[0]
    assert said[0].startswith("asyncq: ")


def test_a_busy_port_is_one_sentence(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fleet = start("--metrics-port", str(port))
        assert 73 == fleet.process.wait(20)
        fleet.end()

    assert [True] == [f"cannot serve metrics on 127.0.0.1:{port}" in line for line in fleet.lines]
