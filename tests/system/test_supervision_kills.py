"""kill -9 of everybody in a real tree: how soon it is noticed, made good, and by whom it is not even felt.

The medians of a few kills stand in for the bars' 99 of 100, which a busy machine cannot keep: those are measured by
`./run python -m benchmarks supervision kills`.
"""

import os
import signal
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from benchmarks.procfs import descendants
from tests.support import proc
from tests.support.fleet import Fleet, message
from tests.support.metrics_page import counters
from tests.support.proc import alive
from tests.support.states import wait_until

Start = Callable[..., Fleet]

NOTICED_S = 0.015  # the bar is 5 ms of a machine that does nothing else; this one runs tests beside it
READY_S = 0.05
ELSEWHERE_S = 0.15


def push(client: redis.Redis, first: int, count: int, sleep: float) -> None:
    client.rpush("task_queue", *(message("hold", n, sleep=sleep) for n in range(first, first + count)))


def one_kill(fleet: Fleet, client: redis.Redis, first: int) -> tuple[float, float, float]:
    """Kill the worker that runs the first of six messages: seconds until it is noticed, replaced, and run elsewhere."""
    push(client, first, 6, 1.0)  # longer than it takes to see that they run, also on a machine that is busy
    wait_until(lambda: len([row for row in fleet.ran("hold") if row["n"] >= first]) == 6, what="they run")
    rows = [row for row in fleet.ran("hold") if row["n"] >= first]
    victim = rows[0]["pid"]
    mine = {row["n"] for row in rows if row["pid"] == victim}
    at = time.time()
    os.kill(victim, signal.SIGKILL)
    again = wait_until(lambda: started_again(fleet, mine, at), what="they run elsewhere")
    # The keeper is told first: it may be faster than the line of the log.
    (died,) = wait_until(lambda: [event for event in fleet.events("child died") if event["pid"] == victim])
    ready = wait_until(lambda: ready_since(fleet, died), what="the replacement is ready")
    wait_until(lambda: len({row["n"] for row in fleet.ran("held")}) >= first + 6, what="all have ended")
    assert victim not in {row["pid"] for row in again}
    return died["ts"] - at, ready["ts"] - at, max(row["at"] for row in again) - at


def started_again(fleet: Fleet, mine: set[int], at: float) -> list[dict[str, float]]:
    rows = [row for row in fleet.ran("hold") if row["n"] in mine and row["at"] > at]
    return rows if mine == {row["n"] for row in rows} else []


def ready_since(fleet: Fleet, died: dict[str, float]) -> dict[str, float] | None:
    later = [e for e in fleet.events("child ready") if e["ts"] >= died["ts"] and e["index"] == died["index"]]
    return next((event for event in later if event["role"] == died["role"]), None)


def test_what_a_killed_worker_ran_runs_elsewhere_at_once_and_no_counter_falls(
    start: Start, raw_redis: redis.Redis
) -> None:
    fleet = start("--procs", "3", "--per-proc", "6").ready()
    kills, before = [], counters(fleet.get("/metrics")[1])
    for number in range(5):
        kills.append(one_kill(fleet, raw_redis, 6 * number))
        after = counters(fleet.get("/metrics")[1])
        assert [] == [name for name in before if after.get(name, -1) < before[name]]
        before = after

    noticed_s, _, elsewhere_s = (statistics.median(column) for column in zip(*kills, strict=True))
    assert noticed_s <= NOTICED_S
    assert elsewhere_s <= ELSEWHERE_S
    assert [] == fleet.events("crash loop suspected")
    assert 0 == fleet.stop()


def test_a_killed_worker_is_replaced_within_50_ms_by_the_zygote(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "2", "--per-proc", "6").ready()
    kills = [one_kill(fleet, raw_redis, 6 * number) for number in range(5)]

    assert statistics.median(ready_s for _, ready_s, _ in kills) <= READY_S


def test_workers_are_children_of_the_supervisor_and_not_of_the_zygote(start: Start) -> None:
    fleet = start("--procs", "2").ready()
    (zygote,) = fleet.pids("zygote")

    assert {fleet.process.pid} == {proc.parent(pid) for pid in [zygote, *fleet.pids("worker")]}
    assert [] == descendants(zygote)
    os.kill(fleet.pids("worker")[0], signal.SIGKILL)
    wait_until(lambda: len(fleet.events("child ready")) == 6, what="the replacement is ready")
    assert {fleet.process.pid} == {proc.parent(pid) for pid in fleet.pids("worker")}
    assert [zygote] == fleet.pids("zygote")
    assert [] == descendants(zygote)


@pytest.mark.parametrize("flags", [(), ("--no-preload",)])
def test_nobody_of_the_tree_is_alive_2_s_after_the_supervisor_was_killed(
    start: Start, raw_redis: redis.Redis, flags: tuple[str, ...]
) -> None:
    fleet = start("--procs", "3", *flags).ready()
    push(raw_redis, 0, 20, 60)
    wait_until(lambda: len(fleet.ran("hold")) == 20)
    tree = fleet.tree()
    fleet.process.kill()
    wait_until(lambda: not proc.at_home_in(fleet.folder), 2.0, "nobody is alive")

    assert len(tree) >= 6


NO_PRCTL = """
import ctypes

class CDLL(ctypes.CDLL):
    def __getattr__(self, name):
        if name == "prctl":
            raise AttributeError(name)
        return super().__getattr__(name)

ctypes.CDLL = CDLL
"""


def test_where_there_is_no_prctl_workers_import_by_themselves_and_leave_when_their_supervisor_is_gone(
    start: Start, raw_redis: redis.Redis, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_PRCTL)
    inherited = [path for path in (os.environ.get("PYTHONPATH"),) if path]
    fleet = start("--procs", "2", env={"PYTHONPATH": os.pathsep.join([str(tmp_path), *inherited])}).ready()
    push(raw_redis, 0, 6, 60)
    wait_until(lambda: len(fleet.ran("hold")) == 6)
    assert [] == fleet.pids("zygote")
    os.kill(fleet.ran("hold")[0]["pid"], signal.SIGKILL)
    (died,) = wait_until(lambda: fleet.events("child died"))
    wait_until(lambda: len(fleet.pids("worker")) == 2, what="it is replaced")
    wait_until(lambda: len(fleet.ran("hold")) > 6, what="what it ran runs again")
    fleet.process.kill()
    wait_until(lambda: not proc.at_home_in(fleet.folder), what="nobody is alive")

    said = wait_until(lambda: fleet.events("the supervisor is gone, leaving"))  # the new one was still on probation
    assert f"worker[{1 - died['index']}]" in {event["process"] for event in said}


def test_a_zygote_that_is_reborn_says_that_another_version_was_installed_meanwhile(start: Start) -> None:
    fleet = start("--procs", "1").ready()
    installed = fleet.folder / "asyncq_supervise-99.1.dist-info"  # the first place where Python looks
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: asyncq-supervise\nVersion: 99.1\n")
    os.kill(*fleet.pids("zygote"), signal.SIGKILL)
    (said,) = wait_until(lambda: fleet.events("another version is installed"), what="it says so")

    assert ("zygote", "99.1") == (said["process"], said["installed"])
    assert 0 == fleet.stop()


def test_a_supervisor_that_crashes_says_where_and_takes_its_tree_along(start: Start) -> None:
    fleet = start("--procs", "1").ready()
    fleet.process.send_signal(signal.SIGSEGV)
    wait_until(lambda: not proc.at_home_in(fleet.folder), 2.0, "nobody is alive")

    assert -signal.SIGSEGV == fleet.process.wait(5)
    wait_until(lambda: "Fatal Python error: Segmentation fault" in fleet.lines, what="it says so")
    assert any("arbiter.py" in line for line in fleet.lines)


@pytest.mark.parametrize("moment", ["the first line", "the first child", "the first worker"])
def test_nobody_is_alive_either_when_it_is_killed_in_its_boot(start: Start, moment: str) -> None:
    moments = {
        "the first line": lambda fleet: fleet.events("supervising"),
        "the first child": lambda fleet: fleet.events("child ready"),
        "the first worker": lambda fleet: fleet.pids("worker"),
    }
    fleet = start("--procs", "8")
    wait_until(lambda: moments[moment](fleet), what=moment)
    if moment != "the first line":  # written before the first fork
        assert len(proc.at_home_in(fleet.folder)) > 1
    fleet.process.kill()

    # Also those that nobody had told of: forked a moment ago, and not adopted yet.
    wait_until(lambda: not proc.at_home_in(fleet.folder), 2.0, "nobody is alive")


class Knocking:
    """Connections to the port of /metrics, one after the other."""

    def __init__(self, fleet: Fleet) -> None:
        url = urlsplit(fleet.events("supervising")[0]["metrics"])
        assert url.hostname
        assert url.port
        self._where = url.hostname, url.port
        self.accepted = 0

    def knock(self) -> None:
        """Raises when nobody listens."""
        with socket.create_connection(self._where, timeout=5):
            self.accepted += 1


@pytest.mark.parametrize("role", ["zygote", "keeper", "admin"])
def test_a_killed_helper_is_reborn_while_the_workers_and_the_port_feel_nothing(
    start: Start, raw_redis: redis.Redis, role: str
) -> None:
    fleet = start("--procs", "2").ready()
    workers, knocking = fleet.pids("worker"), Knocking(fleet)
    push(raw_redis, 0, 10, 1.5)
    wait_until(lambda: len(fleet.ran("hold")) == 10)
    (victim,) = fleet.pids(role)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: (knocking.knock(), fleet.pids(role) not in ([], [victim]))[1], what="it is reborn")
    raw_redis.rpush("task_queue", message("note", 1))
    wait_until(lambda: fleet.ran("note"), what="others are taken meanwhile")
    wait_until(lambda: len(fleet.ran("held")) == 10)

    assert 200 == wait_until(lambda: fleet.get("/metrics")[0])
    assert knocking.accepted > 1
    assert workers == fleet.pids("worker")
    assert 10 == len(fleet.ran("hold"))
    assert {role} == {event["role"] for event in fleet.events("child died")}
    assert 0 == fleet.stop()


def test_workers_that_die_with_the_zygote_are_forked_by_its_successor(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "2").ready()
    dead = [*fleet.pids("zygote"), *fleet.pids("worker")]
    for pid in dead:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(fleet.pids("worker")) == 2 and not set(fleet.pids("worker")) & set(dead), what="reborn")
    raw_redis.rpush("task_queue", *(message("note", n) for n in range(20)))
    wait_until(lambda: len(fleet.ran("note")) == 20)

    assert 1 == len(fleet.pids("zygote"))
    assert {fleet.process.pid} == {proc.parent(pid) for pid in fleet.pids("worker")}
    assert 0 == fleet.stop()


def test_descriptors_are_the_same_after_forty_kills(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "2", "--per-proc", "6").ready()
    raw_redis.rpush("task_queue", *(message("note", n, sleep=0.05) for n in range(10_000)))
    helpers = [fleet.process.pid, *fleet.pids("zygote"), *fleet.pids("keeper"), *fleet.pids("admin")]
    wait_until(lambda: both_work(fleet))
    before = [len(proc.descriptors(pid)) for pid in helpers]
    for number in range(1, 41):
        os.kill(fleet.pids("worker")[0], signal.SIGKILL)
        wait_until(lambda number=number: len(fleet.events("child died")) == number, what="it is dead")
        wait_until(lambda: both_work(fleet), 20, "both work again")

    assert before == [len(proc.descriptors(pid)) for pid in helpers]
    assert [] == fleet.events("crash loop suspected")
    raw_redis.delete("task_queue")


def both_work(fleet: Fleet) -> bool:
    """Both workers have ended something in this life: the brake counts only deaths of those that never did."""
    useful = {row["pid"] for row in fleet.ran("note")}
    return len([pid for pid in fleet.pids("worker") if alive(pid) and pid in useful]) == 2
