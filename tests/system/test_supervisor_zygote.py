"""Workers that a zygote forks: children of the arbiter all the same, whoever dies and whenever."""

import contextlib
import os
import signal
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.proc import alive, state_of
from tests.support.states import wait_until
from tests.support.supervised import Line, Supervised

WORKER: Line = {"role": "worker", "target": "worker", "from_zygote": True}
USEFUL: Line = {**WORKER, "args": {"useful": True}}

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="a zygote needs Linux's prctl")


def ready_infos(tree: Supervised) -> list[Line]:
    return [line["info"] for line in tree.all("ChildReady") if line["role"] == "worker"]


def zygote_of(tree: Supervised) -> int:
    pid: int = [line for line in tree.all("ChildReady") if line["role"] == "zygote"][-1]["pid"]
    return pid


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state_of(pid) == "T", what="it is stopped")


def test_worker_is_the_arbiters_child_and_has_only_its_own_things() -> None:
    with Supervised({**WORKER, "count": 2, "args": {"list_fds": True}}) as tree:
        pids = tree.ready_pids(2)
        infos = ready_infos(tree)
        assert {info["preloaded_by"] for info in infos} == {zygote_of(tree)}
        assert {info["ppid"] for info in infos} == {tree.process.pid}
        assert sorted(info["pgid"] for info in infos) == sorted(pids)
        assert [info["fds"] for info in infos] == [sorted({0, 1, 2, info["channel"], info["box"]}) for info in infos]
        assert [info["blocked"] for info in infos] == [[], []]
        assert len({info["drawn"] for info in infos}) == 2, "two workers draw the same random numbers"
        ignored = str(signal.SIG_IGN)
        assert infos[0]["dispositions"] == {
            "SIGHUP": ignored,
            "SIGINT": ignored,
            "SIGCHLD": str(signal.SIG_DFL),
            "SIGTSTP": ignored,
        }
        tree.signal(signal.SIGTERM)
        assert tree.finish() == 0


def test_death_is_noticed_within_5_ms_and_the_worker_replaced() -> None:
    with Supervised({**USEFUL, "count": 2}, respawns_per_s=1000) as tree:
        pids = tree.ready_pids(2)
        noticed, ready = [], []
        for turn in range(30):
            victim, began = pids[turn % 2], time.monotonic()
            os.kill(victim, signal.SIGKILL)
            noticed.append(tree.next("ChildDied", pid=victim)["at"] - began)
            new = tree.next("ChildReady", role="worker", index=turn % 2)
            ready.append(new["at"] - began)
            pids[turn % 2] = new["pid"]
        print(f"noticed {sorted(noticed)}, ready {sorted(ready)}")
        # 5 ms on a machine that does nothing else: `./run python -m benchmarks supervision kills`.
        assert statistics.median(noticed) < 0.015
        assert statistics.median(ready) < 0.05


def test_zygote_is_reborn_and_workers_are_untouched_when_it_is_killed() -> None:
    with Supervised({**USEFUL, "count": 2}) as tree:
        before = tree.ready_pids(2)
        first = zygote_of(tree)
        os.kill(first, signal.SIGKILL)
        died = tree.next("ChildDied")
        assert (died["role"], died["counted"]) == ("zygote", False), "it had forked: that is useful work"
        second = tree.next("ChildReady", role="zygote")["pid"]
        assert all(alive(pid) for pid in before)
        os.kill(before[0], signal.SIGKILL)
        new = tree.next("ChildReady", role="worker", index=0)
        assert new["info"]["preloaded_by"] == second
        assert alive(before[1])


def test_worker_is_made_by_the_next_zygote_when_one_dies_over_its_order() -> None:
    with Supervised(USEFUL) as tree:
        (worker,) = tree.ready_pids(1)
        zygote = zygote_of(tree)
        stop(zygote)
        os.kill(worker, signal.SIGKILL)
        tree.next("ChildDied", role="worker")
        os.kill(zygote, signal.SIGKILL)
        tree.next("ChildDied", role="zygote")
        reborn = tree.next("ChildReady", role="zygote")
        new = tree.next("ChildReady", role="worker")
        assert new["info"]["preloaded_by"] == reborn["pid"]
        assert new["at"] - reborn["at"] < 0.4, "it waits for the zygote alone"
        assert tree.logged("fork refused") == []


def test_tree_ends_when_it_is_stopped_while_an_order_is_under_way() -> None:
    with Supervised(USEFUL, helper_timeout_s=0.5) as tree:
        (worker,) = tree.ready_pids(1)
        stop(zygote_of(tree))
        os.kill(worker, signal.SIGKILL)
        tree.next("ChildDied", role="worker")
        tree.signal(signal.SIGTERM)
        assert tree.finish(5.0) == 0


def test_fork_that_never_comes_back_is_given_up_and_tried_again() -> None:
    with Supervised(USEFUL, preload="preload_stuck_once") as tree:
        tree.ready_pids(1)
        (refused,) = tree.logged("fork refused")
        assert refused["error"] == "a double fork has not ended within 5 s"


def test_nothing_is_alive_when_the_arbiter_is_sigkilled() -> None:
    deaf = {**WORKER, "count": 3, "args": {"ignore": ["SIGTERM", "SIGQUIT"]}}
    with Supervised(deaf) as tree:
        pids = [*tree.ready_pids(3), zygote_of(tree)]
        tree.process.kill()
        wait_until(lambda: not any(alive(pid) for pid in pids), 2.0)


def test_deaths_before_ready_are_the_workers_own_and_engage_the_brake() -> None:
    worker = {"role": "worker", "target": "quitter", "from_zygote": True, "count": 2, "args": {"ready": False}}
    with Supervised(worker, backoff_base_s=0.01, backoff_cap_s=0.02) as tree:
        tree.next("Degraded")
        assert {line["reason"] for line in tree.all("ChildDied")} == {"boot"}


def test_exit_is_3_with_the_sentence_when_the_zygote_cannot_import_the_app() -> None:
    with Supervised({**WORKER, "count": 4}, preload="preload_missing") as tree:
        assert tree.finish(5.0) == 3
        assert tree.stderr().count("asyncq: cannot import the app 'nowhere': No module named 'nowhere'\n") == 1
        assert not [line for line in tree.all("ChildDied") if line["role"] == "worker"]


def test_what_no_fork_survives_is_named_and_kept_from_the_workers() -> None:
    with Supervised(WORKER, preload="preload_unsafe") as tree:
        tree.ready_pids(1)
        (info,) = ready_infos(tree)
        said = [record["what"] for record in tree.logged("fork is not safe")]
        assert said == [
            "thread 'app-poller' (threading.Event.wait)",
            "event loop asyncio.unix_events._UnixSelectorEventLoop",
            *[what for what in said if what.startswith("socket")],
        ]
        assert f"socket at 127.0.0.1:{info['port']}" in said
        assert (info["kinds"]["listener"], info["kinds"]["loop"]) == ("/dev/null", "/dev/null")
        assert info["kinds"]["file"].endswith("toy_children.py"), "an open file is harmless"


def test_death_is_not_missed_when_children_end_at_any_moment_of_their_making() -> None:
    """Kills of whatever process of the tree is newest; every slot is filled again in the end."""
    with Supervised({**USEFUL, "count": 3}, respawns_per_s=1000, backoff_cap_s=0.01, brake_least=1000) as tree:
        tree.ready_pids(3)
        children = Path(f"/proc/{tree.process.pid}/task/{tree.process.pid}/children")
        killed: set[int] = set()
        while len(killed) < 60:
            newest = wait_until(
                lambda: {int(pid) for pid in children.read_text().split()} - killed, what="somebody lives"
            )
            killed.add(max(newest))
            with contextlib.suppress(ProcessLookupError):
                os.kill(max(newest), signal.SIGKILL)

        def filled() -> bool:
            ready: dict[Any, int] = {(line["role"], line["index"]): line["pid"] for line in tree.all("ChildReady")}
            return len(ready) == 4 and all(alive(pid) for pid in ready.values())

        wait_until(filled, 20.0, "every slot has a living child")
        tree.signal(signal.SIGTERM)
        assert tree.finish() == 0
