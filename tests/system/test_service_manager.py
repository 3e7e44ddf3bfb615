"""What systemd hears of a real supervisor: when all are ready, how it stands, that it lives, what time it needs."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.support.fleet import TASKS, Fleet, message
from tests.support.service_manager import ServiceManager
from tests.support.states import wait_until

Start = Callable[..., Fleet]

WATCHDOG_S = 0.9
# Every import of the app waits as long as there is a file.
GATED = (
    """
import os, time
while os.path.exists("closed"):
    time.sleep(0.01)  # sleeps: a user's program, which has no helper of the tests
"""
    + TASKS
    + """
import subprocess, sys

@task("environment")
async def environment(payload):
    names = "import os; print(*(name for name in os.environ if name.startswith(('NOTIFY', 'WATCHDOG'))))"
    found = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True).stdout.split()
    record(name="environment", n=payload["n"], found=found)
"""
)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    made = ServiceManager(tmp_path)
    yield made
    made.close()


@pytest.fixture
def begin(start: Start, manager: ServiceManager) -> Start:
    """A supervisor under the service manager, with a watchdog or without."""

    def begin(*flags: str, watchdog_s: float = 0.0) -> Fleet:
        env = {"NOTIFY_SOCKET": manager.address}
        if watchdog_s:
            env["WATCHDOG_USEC"] = str(int(watchdog_s * 1_000_000))
        return start(*flags, tasks=GATED, env=env)

    return begin


def test_ready_comes_with_the_full_set_and_the_watchdog_is_fed_from_then_on(
    begin: Start, manager: ServiceManager
) -> None:
    fleet = begin("--procs", "2", watchdog_s=WATCHDOG_S)
    before = [manager.hear()]
    while before[-1].value("READY") is None:
        before.append(manager.hear())
    ready = before.pop()
    assert {"READY=1", "WATCHDOG=1"} <= set(ready.lines)
    # Told with it, or before it when keeper or admin was the last.
    assert [heard.value("STATUS") for heard in [*before, ready] if heard.value("STATUS")][-1] == "2 of 2 workers ready"
    assert ready.pid == fleet.process.pid  # NotifyAccess=main is enough
    assert all(heard.value("WATCHDOG") is None for heard in before)
    beats = [ready, *(manager.hear_of("WATCHDOG") for _ in range(8))]
    gaps = [later.at_mono - earlier.at_mono for earlier, later in itertools.pairwise(beats)]
    assert max(gaps) < WATCHDOG_S
    assert sum(gaps) / len(gaps) > WATCHDOG_S / 3 * 0.9
    assert fleet.stop() == 0


def test_the_status_says_how_many_workers_are_ready(begin: Start, manager: ServiceManager) -> None:
    fleet = begin("--procs", "2", "--no-preload").ready()
    manager.hear_of("READY")
    gate = fleet.folder / "closed"
    gate.touch()
    os.kill(fleet.pids("worker")[0], signal.SIGKILL)
    manager.hear_of("STATUS", "1 of 2 workers ready")
    gate.unlink()
    manager.hear_of("STATUS", "2 of 2 workers ready")
    fleet.process.send_signal(signal.SIGTSTP)
    manager.hear_of("STATUS", "quiet: nothing is taken, 0 tasks running; 2 of 2 workers ready")
    fleet.process.send_signal(signal.SIGCONT)
    manager.hear_of("STATUS", "2 of 2 workers ready")
    assert fleet.stop() == 0


def test_a_drain_asks_for_the_time_that_its_work_needs(
    begin: Start, manager: ServiceManager, raw_redis: redis.Redis
) -> None:
    fleet = begin("--procs", "2", "--drain-timeout", "4", "--cancel-timeout", "2", watchdog_s=WATCHDOG_S).ready()
    raw_redis.rpush("task_queue", message("hold", 1, sleep=3))
    wait_until(lambda: fleet.ran("hold"))
    manager.rest()
    assert fleet.stop() == 0
    told = manager.rest()
    assert [heard.value("STOPPING") for heard in told if heard.value("STOPPING")] == ["1"]
    statuses = [status for heard in told if (status := heard.value("STATUS"))]
    assert any(status.startswith("draining: 1 worker, 1 task, ") for status in statuses)
    asked_s = [int(value) / 1e6 for heard in told if (value := heard.value("EXTEND_TIMEOUT_USEC"))]
    # 4 + 2 for the workers, 5 for the reaps, 5 each for keeper and admin, and a margin of 10
    assert asked_s[0] == pytest.approx(31.0, abs=0.5)
    assert len(asked_s) >= 2
    assert asked_s == sorted(asked_s, reverse=True)
    beats = [heard.at_mono for heard in told if heard.value("WATCHDOG")]
    assert len(beats) >= 3 / WATCHDOG_S * 2


def test_a_fleet_that_does_not_live_is_not_vouched_for(begin: Start, manager: ServiceManager) -> None:
    fleet = begin("--procs", "1", "--watchdog", "1", watchdog_s=WATCHDOG_S).ready()
    os.kill(fleet.pids("worker")[0], signal.SIGSTOP)
    (held_back,) = wait_until(lambda: fleet.events("watchdog is not fed"))
    assert held_back["reason"].startswith("no worker beat in the last 1 s")
    wait_until(lambda: fleet.events("watchdog is fed again"))  # once the supervisor has replaced it
    assert fleet.stop() == 0


def test_a_program_that_a_handler_runs_cannot_speak_for_the_service(begin: Start, raw_redis: redis.Redis) -> None:
    fleet = begin("--procs", "1", watchdog_s=30.0).ready()
    raw_redis.rpush("task_queue", message("environment", 1))
    (row,) = wait_until(lambda: fleet.ran("environment"))
    assert row["found"] == []
    assert fleet.stop() == 0


def test_why_it_gave_up_stays_to_be_read(start: Start, manager: ServiceManager) -> None:
    fleet = start("--procs", "1", tasks="import no_such_package", env={"NOTIFY_SOCKET": manager.address})
    assert fleet.process.wait(20) == 3
    told = manager.rest()
    assert not any(heard.value("READY") for heard in told)
    last = [status for heard in told if (status := heard.value("STATUS"))][-1]
    assert last.startswith("gave up: ")
    assert "no_such_package" in last
