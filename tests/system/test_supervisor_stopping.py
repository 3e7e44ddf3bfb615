"""How the tree ends: drain, cancel, kill, deadlines, and a supervisor that is killed itself."""

import signal
from pathlib import Path

import pytest

from tests.support.proc import alive
from tests.support.states import wait_until
from tests.support.supervised import Line, Supervised

WORKER: Line = {"role": "worker", "target": "worker"}
DEAF_TO_TERM: Line = {**WORKER, "args": {"ignore": ["SIGTERM"]}}
DEAF: Line = {**WORKER, "args": {"ignore": ["SIGTERM", "SIGQUIT"]}}
ADMIN: Line = {"role": "admin", "target": "worker", "stop_stage": 2}
LAST: Line = {"role": "redis", "target": "worker", "stop_stage": 3, "handshake": False}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_exit_is_0_when_every_child_drains(number: signal.Signals) -> None:
    with Supervised({**WORKER, "count": 2}) as tree:
        pids = tree.ready_pids(2)
        tree.signal(number)
        assert tree.finish() == 0
        assert not any(alive(pid) for pid in pids)
        assert [line["urgency"] for line in tree.all("Draining")] == ["DRAIN"]
        assert tree.all("Draining")[0]["tree"] == "DRAINING"


def test_stages_leave_in_order_when_the_tree_drains(tmp_path: Path) -> None:
    keeper = {
        "role": "keeper",
        "target": "keeper",
        "stop_stage": 1,
        "gives_back": True,
        "args": {"log": str(tmp_path / "keeper")},
    }
    with Supervised(LAST, ADMIN, keeper, {**WORKER, "count": 2}) as tree:
        tree.ready_pids(2)
        tree.signal(signal.SIGTERM)
        assert tree.finish() == 0
        order = [line["role"] for line in tree.all("ChildDied")]
        assert order == ["worker", "worker", "keeper", "admin", "redis"]


def test_work_is_cancelled_when_stop_is_asked_twice() -> None:
    with Supervised(DEAF_TO_TERM) as tree:
        tree.ready_pids(1)
        tree.signal(signal.SIGTERM)
        tree.next("Draining", urgency="DRAIN")
        tree.signal(signal.SIGTERM)
        assert tree.finish() == 75
        assert [line["cause"] for line in tree.all("ChildDied")] == ["exit code 75"]


def test_work_is_killed_when_stop_is_asked_three_times() -> None:
    with Supervised(DEAF, ADMIN) as tree:
        tree.ready_pids(1)
        for urgency in ("DRAIN", "CANCEL", "KILL"):
            tree.signal(signal.SIGTERM)
            tree.next("Draining", urgency=urgency)
        assert tree.finish() == 75
        causes = {line["role"]: line["cause"] for line in tree.all("ChildDied")}
        assert causes == {"worker": "killed by SIGKILL", "admin": "exit code 0"}


def test_work_is_cancelled_at_once_when_sigquit_comes() -> None:
    with Supervised(WORKER) as tree:
        tree.ready_pids(1)
        tree.signal(signal.SIGQUIT)
        assert tree.finish() == 75
        assert [line["cause"] for line in tree.all("ChildDied")] == ["exit code 75"]


def test_exit_is_75_when_the_drain_deadline_passes() -> None:
    with Supervised(DEAF_TO_TERM, drain_timeout_s=0.3) as tree:
        tree.ready_pids(1)
        tree.signal(signal.SIGTERM)
        assert tree.finish() == 75
        assert [line["cause"] for line in tree.all("ChildDied")] == ["exit code 75"]


def test_child_is_killed_when_it_ignores_term_and_quit() -> None:
    with Supervised(DEAF, drain_timeout_s=0.2, cancel_timeout_s=0.2) as tree:
        (pid,) = tree.ready_pids(1)
        tree.signal(signal.SIGTERM)
        assert tree.finish() == 75
        assert [line["cause"] for line in tree.all("ChildDied")] == ["killed by SIGKILL"]
        assert not alive(pid)


def test_helper_is_killed_without_sigquit_when_it_ignores_term() -> None:
    helper = {**ADMIN, "args": {"ignore": ["SIGTERM"]}}
    with Supervised(WORKER, helper, helper_timeout_s=0.2) as tree:
        tree.ready_pids(1)
        tree.signal(signal.SIGTERM)
        assert tree.finish() == 0
        assert tree.all("ChildDied")[-1]["cause"] == "killed by SIGKILL"


def test_children_leave_at_once_when_stop_comes_during_boot() -> None:
    with Supervised({"role": "worker", "target": "never_ready", "count": 2}) as tree:
        pids = [tree.next("Booting")["pid"] for _ in range(2)]
        tree.signal(signal.SIGTERM)
        assert tree.finish(2.0) == 0
        assert not any(alive(pid) for pid in pids)
        assert {line["cause"] for line in tree.all("ChildDied")} == {"killed by SIGTERM"}


def test_nothing_is_alive_when_the_supervisor_is_sigkilled() -> None:
    # Children that ignore what can be ignored and do not look at their channel, in boot and after it.
    deaf = ["SIGTERM", "SIGQUIT"]
    booting = {"role": "worker", "target": "never_ready", "count": 2, "args": {"ignore": deaf}}
    with Supervised(booting, {**ADMIN, "args": {"ignore": deaf}}) as tree:
        pids = [tree.next("Booting")["pid"] for _ in range(2)]
        wait_until(lambda: tree.all("ChildReady"))
        pids += [line["pid"] for line in tree.all("ChildReady")]
        assert len(set(pids)) == 3
        assert all(alive(pid) for pid in pids)
        tree.process.kill()
        wait_until(lambda: not any(alive(pid) for pid in pids), 2.0)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTTIN", "SIGTTOU"])
def test_signal_is_ignored_with_one_line_when_it_means_nothing_yet(name: str) -> None:
    with Supervised(WORKER) as tree:
        (pid,) = tree.ready_pids(1)
        tree.signal(signal.Signals[name])
        wait_until(lambda: tree.logged("signal ignored"))
        assert [record["signal"] for record in tree.logged("signal ignored")] == [name]
        assert alive(pid)
        tree.signal(signal.SIGTERM)
        assert tree.finish() == 0


def test_the_sigcont_that_systemd_sends_behind_a_sigterm_means_nothing() -> None:
    with Supervised(WORKER) as tree:
        tree.ready_pids(1)
        tree.signal(signal.SIGCONT)
        tree.signal(signal.SIGTERM)
        tree.signal(signal.SIGCONT)
        assert tree.finish() == 0
        assert tree.logged("signal ignored") == []
