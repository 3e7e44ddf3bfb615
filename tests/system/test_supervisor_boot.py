"""Boots that fail: said once, bounded, with the right exit code."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.supervised import Line, Supervised

WORKER: Line = {"role": "worker", "target": "worker"}
SENTENCE = "asyncq: cannot import the app 'nowhere': No module named 'nowhere'"


def test_sentence_is_written_once_and_exit_is_3_when_the_first_boot_fails() -> None:
    started = time.monotonic()
    helpers = {"role": "admin", "target": "worker", "stop_stage": 2}
    with Supervised({"role": "worker", "target": "app_missing", "count": 4}, helpers) as tree:
        assert tree.finish(10.0) == 3
        assert time.monotonic() - started < 2.0
        assert tree.stderr().count("cannot import the app") - tree.stderr().count('"last_words"') == 1
        assert tree.stderr().splitlines().count(SENTENCE) == 1
        assert "Traceback" not in tree.stderr()
        assert [line["exit_code"] for line in tree.all("GaveUp")] == [3]


def test_spawns_are_bounded_and_exit_is_1_when_workers_keep_dying() -> None:
    worker = {"role": "worker", "target": "broken", "count": 2}
    with Supervised(
        worker, backoff_base_s=0.02, backoff_cap_s=0.1, brake_least=5, crash_loop_exit_s=1.0, brake_window_s=10.0
    ) as tree:
        assert tree.finish(10.0) == 1
        deaths = tree.all("ChildDied")
        degraded = tree.all("Degraded")
        assert [line["tree"] for line in degraded] == ["DEGRADED"]
        assert degraded[0]["deaths"] == 6
        # 6 until the brake, then one probe at a time: at most 10 a second for one second
        assert 7 <= len(deaths) <= 6 + 2 + 11
        assert {line["reason"] for line in deaths[:6]} == {"boot"}
        (gave_up,) = tree.all("GaveUp")
        assert gave_up["exit_code"] == 1
        assert set(gave_up["last_words"]) == {
            "RuntimeError: toy worker 0 is broken",
            "RuntimeError: toy worker 1 is broken",
        }
        last_line = [line for line in tree.stderr().splitlines() if line.startswith("asyncq: ")]
        assert len(last_line) == 1
        assert "toy worker 0 is broken" in last_line[0]
        assert '"traceback": "Traceback' in tree.stderr()


def test_only_one_probe_lives_when_the_brake_is_engaged() -> None:
    worker = {"role": "worker", "target": "worker", "count": 3, "args": {"crash_after_s": 0.1}}
    settings = {"backoff_base_s": 0.01, "backoff_cap_s": 0.02, "crash_loop_exit_s": 1.5}
    with Supervised(worker, **settings) as tree:
        assert tree.finish(15.0) == 1
        engaged = tree.lines.index(tree.all("Degraded")[0])
        probes = {line["pid"] for line in tree.lines[engaged:] if line["event"] == "ChildReady"}
        living: set[int] = set()
        for line in tree.lines[engaged:]:
            if line["event"] == "ChildReady":
                living.add(line["pid"])
            elif line["event"] == "ChildDied":
                living.discard(line["pid"])
            assert len(living) <= 1
        assert len(probes) >= 3


@pytest.mark.parametrize(("ready", "reason"), [(True, "external"), (False, "boot")])
def test_brake_is_engaged_when_workers_keep_ending_without_an_error(ready: bool, reason: str) -> None:
    worker = {"role": "worker", "target": "quitter", "args": {"ready": ready}}
    with Supervised(worker, backoff_base_s=0.01, backoff_cap_s=0.02, crash_loop_exit_s=0.5) as tree:
        assert tree.finish(15.0) == 1
        assert [line["tree"] for line in tree.all("Degraded")] == ["DEGRADED"]
        told = {(line["cause"], line["reason"], line["counted"]) for line in tree.all("ChildDied")}
        assert told == {("exit code 0", reason, True)}


def test_last_words_are_those_of_the_newest_child_when_workers_keep_dying() -> None:
    worker = {"role": "worker", "target": "fallen_silent"}
    with Supervised(worker, backoff_base_s=0.01, backoff_cap_s=0.02, crash_loop_exit_s=0.5) as tree:
        assert tree.finish(15.0) == 1
        (gave_up,) = tree.all("GaveUp")
        assert gave_up["last_words"] == []
        assert gave_up["sentence"].endswith("they said nothing; see their output above")


def test_brake_is_released_when_a_probe_lives_long_enough() -> None:
    with Supervised({**WORKER, "count": 2}, brake_least=1, probe_ok_s=0.2, backoff_base_s=0.05) as tree:
        tree.ready_pids(2)
        for _ in range(5):
            victim = next(line["pid"] for line in reversed(tree.all("ChildReady")) if line["index"] == 0)
            _kill(victim)
            tree.next("ChildReady", index=0)
        assert len(tree.all("Degraded")) == 1
        assert tree.next("Recovered")["tree"] == "RUNNING"
        tree.signal(signal.SIGTERM)
        assert tree.finish() == 0


@pytest.mark.parametrize(
    ("ignored", "cause"),
    [(["SIGTERM", "SIGQUIT"], "killed by SIGABRT"), (["SIGTERM", "SIGABRT"], "killed by SIGKILL")],
)
def test_boot_is_cut_off_and_counted_when_it_takes_too_long(ignored: list[str], cause: str) -> None:
    worker = {"role": "worker", "target": "never_ready", "boot_timeout_s": 0.3, "args": {"ignore": ignored}}
    with Supervised(worker) as tree:
        died = tree.next("ChildDied")
        assert (died["cause"], died["reason"], died["counted"]) == (cause, "boot", True)
        tree.next("Booting")
        assert tree.process.poll() is None


def test_app_error_is_no_longer_fatal_when_a_worker_was_ready_before(tmp_path: Path) -> None:
    go = tmp_path / "go"
    admin = {"role": "admin", "target": "app_missing_after_worker", "stop_stage": 2, "args": {"go": str(go)}}
    with Supervised(WORKER, admin) as tree:
        tree.next("ChildReady", role="worker")
        go.touch()
        for _ in range(2):
            assert tree.next("ChildDied", role="admin")["cause"] == "exit code 3"
        assert tree.process.poll() is None
        assert tree.all("GaveUp") == []


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
