"""Every signal a person or an orchestrator may send to a real tree, once, often, early, and to all of it at once."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from benchmarks.procfs import descendants
from tests.support import proc
from tests.support.fleet import TASKS, Fleet, message
from tests.support.namespaces import as_pid_1
from tests.support.proc import alive
from tests.support.states import wait_until

Start = Callable[..., Fleet]

TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
TSTP, CONT, STOP = signal.SIGTSTP, signal.SIGCONT, signal.SIGSTOP
WAYS: list[tuple[str, ...]] = [(), ("--no-preload",)]
SLOW_TO_IMPORT = "import time\ntime.sleep(0.5)  # sleeps: a large app\n" + TASKS
QUICK = ("--drain-timeout", "1", "--cancel-timeout", "1")


def queue(client: redis.Redis) -> list[bytes]:
    return client.lrange("task_queue", 0, -1)  # type: ignore[return-value]


def held(client: redis.Redis) -> list[bytes]:
    return [key for part in ("inflight", "inbox", "lease") for key in client.keys(f"asyncq:*:{part}:*")]


def stopped_in(fleet: Fleet, *signals: int) -> tuple[int, float]:
    """Exit code, and seconds from the first signal to the end."""
    tree, began = fleet.tree(), time.monotonic()
    code = fleet.stop(*signals)
    took_s = time.monotonic() - began
    wait_until(lambda: not any(alive(pid) for pid in tree), 1, "nobody of the tree is left")
    assert [] == proc.at_home_in(fleet.folder)
    return code, took_s


@pytest.mark.parametrize(
    ("signals", "flags", "least_s", "most_s"),
    [
        pytest.param([TERM], (), 1, 3, id="TERM"),  # the deadline of the drain is 1 s, that of the cancellation too
        pytest.param([TERM], ("--no-preload",), 1, 3, id="TERM without a zygote"),
        pytest.param([TERM] * 2, (), 0, 1, id="TERM twice"),
        pytest.param([TERM] * 3, (), 0, 1, id="TERM three times"),
        pytest.param([TERM] * 5, (), 0, 1.5, id="TERM five times"),
        pytest.param([TERM] * 5, ("--no-preload",), 0, 1.5, id="TERM five times without a zygote"),
        pytest.param([INT], (), 1, 3, id="INT"),
        pytest.param([INT, TERM], (), 0, 1, id="INT and TERM"),
        pytest.param([QUIT], (), 0, 1, id="QUIT"),
    ],
)
def test_what_runs_for_long_goes_back_to_its_queue(
    start: Start, raw_redis: redis.Redis, signals: list[int], flags: tuple[str, ...], least_s: float, most_s: float
) -> None:
    fleet = start("--procs", "2", *flags, *QUICK).ready()
    raws = [message("hold", n) for n in range(4)]
    raw_redis.rpush("task_queue", *raws)
    wait_until(lambda: len(fleet.ran("hold")) == 4)
    found, took_s = stopped_in(fleet, *signals)

    assert 75 == found
    assert least_s <= took_s <= most_s
    assert [] == fleet.ran("held")
    assert sorted(raws) == sorted(queue(raw_redis))
    assert [] == held(raw_redis)


def test_ctrl_c_of_a_terminal_reaches_the_supervisor_alone_and_drains(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "2", wrapper=("setsid",)).ready()  # a process group of its own, as under a shell
    raw_redis.rpush("task_queue", *(message("hold", n, sleep=1) for n in range(4)))
    wait_until(lambda: len(fleet.ran("hold")) == 4)
    assert {fleet.process.pid} == {pid for pid in fleet.tree() if os.getpgid(pid) == fleet.process.pid}
    os.killpg(fleet.process.pid, INT)

    assert 0 == fleet.process.wait(20)
    assert 4 == len(fleet.ran("held"))
    assert 4 == len(fleet.ran("hold"))


@pytest.mark.parametrize("flags", WAYS)
def test_quit_to_one_worker_hands_its_work_to_the_others_and_it_is_replaced(
    start: Start, raw_redis: redis.Redis, flags: tuple[str, ...]
) -> None:
    fleet = start("--procs", "2", "--per-proc", "4", *flags).ready()
    raw_redis.rpush("task_queue", *(message("hold", n, sleep=2) for n in range(8)))
    wait_until(lambda: len(fleet.ran("hold")) == 8)
    victim = fleet.ran("hold")[0]["pid"]
    mine = {row["n"] for row in fleet.ran("hold") if row["pid"] == victim}
    os.kill(victim, QUIT)
    (died,) = wait_until(lambda: fleet.events("child died"), what="it obeys")
    wait_until(lambda: len({row["n"] for row in fleet.ran("held")}) == 8, 20, "nothing is lost")

    assert (victim, "external") == (died["pid"], died["reason"])
    starts = [row["n"] for row in fleet.ran("hold")]
    assert {n: 1 + (n in mine) for n in range(8)} == {n: starts.count(n) for n in range(8)}
    wait_until(lambda: len(fleet.pids("worker")) == 2, what="it is replaced")
    assert 0 == fleet.stop()


@pytest.mark.parametrize("flags", WAYS)
def test_idle_workers_leave_at_once(start: Start, flags: tuple[str, ...]) -> None:
    fleet = start("--procs", "3", *flags).ready()
    code, took_s = stopped_in(fleet, TERM)

    assert 0 == code
    assert took_s < 2


@pytest.mark.parametrize(
    ("number", "moment", "flags"),
    [
        (TERM, "supervising", ()),
        (TERM, "child ready", ()),
        (TERM, "worker", ()),
        (TERM, "child ready", ("--no-preload",)),
        (QUIT, "child ready", ()),
        (QUIT, "worker", ()),
    ],
)
def test_a_boot_is_broken_off(start: Start, number: int, moment: str, flags: tuple[str, ...]) -> None:
    fleet = start("--procs", "3", *flags, tasks=SLOW_TO_IMPORT)
    wait_until(lambda: fleet.pids("worker") if moment == "worker" else fleet.events(moment), what=moment)
    code, took_s = stopped_in(fleet, number)

    assert code in ((0,) if moment == "supervising" else (0, 75))
    assert took_s < 2
    assert [] == fleet.events("crash loop suspected")


class TestQuiet:
    def test_tstp_takes_nothing_more_and_cont_goes_on(self, start: Start, raw_redis: redis.Redis) -> None:
        fleet = start("--procs", "2").ready()
        workers = fleet.pids("worker")
        raw_redis.rpush("task_queue", *(message("hold", n, sleep=1) for n in range(6)))
        wait_until(lambda: len(fleet.ran("hold")) == 6)
        fleet.process.send_signal(TSTP)
        wait_until(lambda: fleet.get("/readyz")[0] == 503, what="not ready")
        raw_redis.rpush("task_queue", *(message("note", n) for n in range(10)))
        wait_until(lambda: len(fleet.ran("held")) == 6, what="what runs ends")
        wait_until(lambda: held(raw_redis) and self.resting(raw_redis), what="nothing is in flight")
        looked = raw_redis.llen("task_queue"), fleet.ran("note"), fleet.pids("worker"), fleet.get("/livez")[0]
        fleet.process.send_signal(CONT)
        wait_until(lambda: len(fleet.ran("note")) == 10, what="it goes on")

        assert (10, [], workers, 200) == looked
        wait_until(lambda: fleet.get("/readyz")[0] == 200, what="ready again")
        assert 0 == fleet.stop()

    @staticmethod
    def resting(client: redis.Redis) -> bool:
        return not any(client.hlen(key) for key in client.keys("asyncq:*:inflight:*"))

    def test_a_worker_born_while_it_is_quiet_is_quiet(self, start: Start, raw_redis: redis.Redis) -> None:
        fleet = start("--procs", "2").ready()
        fleet.process.send_signal(TSTP)
        wait_until(lambda: fleet.get("/readyz")[0] == 503, what="not ready")
        (victim, _) = fleet.pids("worker")
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len([e for e in fleet.events("child ready") if e["role"] == "worker"]) == 3, what="reborn")
        raw_redis.rpush("task_queue", *(message("note", n) for n in range(10)))
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 1.5, what="time for somebody to take one")
        assert 10 == raw_redis.llen("task_queue")
        fleet.process.send_signal(CONT)
        wait_until(lambda: len(fleet.ran("note")) == 10, what="it goes on")

    def test_a_quiet_tree_drains(self, start: Start, raw_redis: redis.Redis) -> None:
        fleet = start("--procs", "2").ready()
        fleet.process.send_signal(TSTP)
        wait_until(lambda: fleet.get("/readyz")[0] == 503, what="not ready")
        raw_redis.rpush("task_queue", message("note", 1))

        assert 0 == fleet.stop()
        assert 1 == raw_redis.llen("task_queue")
        assert [] == fleet.ran("note")

    def test_one_worker_can_be_quiet_by_itself(self, start: Start, raw_redis: redis.Redis) -> None:
        fleet = start("--procs", "2", "--per-proc", "2").ready()
        quiet, other = fleet.pids("worker")
        os.kill(quiet, TSTP)
        wait_until(lambda: [line for line in fleet.lines if "quiet" in line], what="it says so")
        raw_redis.rpush("task_queue", *(message("note", n, sleep=0.05) for n in range(40)))
        wait_until(lambda: len(fleet.ran("note")) == 40)

        assert {other} == {row["pid"] for row in fleet.ran("note")}
        os.kill(quiet, CONT)
        raw_redis.rpush("task_queue", *(message("note", n, sleep=0.05) for n in range(40, 140)))
        wait_until(lambda: quiet in {row["pid"] for row in fleet.ran("note")}, what="it goes on")
        assert 0 == fleet.stop()


def test_usr2_writes_down_what_every_worker_does(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "2", "--per-proc", "2").ready()
    workers = fleet.pids("worker")
    raw_redis.rpush("task_queue", *(message("hold", n, sleep=1.5) for n in range(4)))
    wait_until(lambda: len(fleet.ran("hold")) == 4)
    fleet.process.send_signal(signal.SIGUSR2)
    # The stack of a handler that waits: `hold` in the tasks of that worker.
    wait_until(lambda: len([line for line in fleet.lines if "in hold" in line or "hold()" in line]) >= 2, 10)

    assert workers == fleet.pids("worker")
    wait_until(lambda: len(fleet.ran("held")) == 4)
    assert 0 == fleet.stop()


SELFISH = "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nsignal.signal(signal.SIGTERM, print)\n" + TASKS


def test_what_an_app_does_about_signals_at_import_keeps_no_zygote_from_its_work(start: Start) -> None:
    fleet = start("--procs", "2", tasks=SELFISH).ready()
    os.kill(fleet.pids("worker")[0], signal.SIGKILL)
    wait_until(lambda: len([e for e in fleet.events("child ready") if e["role"] == "worker"]) == 3, what="replaced")
    code, took_s = stopped_in(fleet, TERM)

    assert (0, []) == (code, fleet.events("fork refused"))
    assert took_s < 3


POOL = (
    TASKS
    + """
from concurrent.futures import ProcessPoolExecutor
pools = []

@task("pool")
async def pool(payload):
    pools.append(ProcessPoolExecutor(1))
    record(name="pool", n=await asyncio.wrap_future(pools[0].submit(os.getpid)))
"""
)


def test_no_process_that_a_handler_has_made_outlives_the_tree(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "1", tasks=POOL).ready()
    raw_redis.rpush("task_queue", message("pool", 1))
    (made,) = wait_until(lambda: fleet.ran("pool"))

    assert alive(made["n"])
    try:
        assert 0 == fleet.stop()
        wait_until(lambda: not alive(made["n"]), 2, "it is gone, too")
    finally:
        if alive(made["n"]):  # it holds the pipe that the fleet's reader waits for
            os.kill(made["n"], signal.SIGKILL)


INTO_A_FILE = ("sh", "-c", 'exec "$@" 2>> fleet.log', "sh")


@pytest.mark.parametrize("flags", WAYS)
def test_usr1_opens_the_log_anew_in_every_process_also_in_those_that_are_just_starting(
    start: Start, raw_redis: redis.Redis, flags: tuple[str, ...]
) -> None:
    fleet = start("--procs", "2", *flags, tasks=SLOW_TO_IMPORT, wrapper=INTO_A_FILE)
    log, old = fleet.folder / "fleet.log", fleet.folder / "fleet.log.1"
    log.touch()  # the shell may not have come to it yet
    wait_until(lambda: '"event": "child ready", "role": "admin"' in log.read_text(), what="workers are starting")
    assert '"role": "worker"' not in log.read_text()
    log.rename(old)
    fleet.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: log.exists() and '"event": "ready"' in log.read_text(), 20, "ready, as the new file says")
    written = old.read_text()
    raw_redis.rpush("task_queue", *(message("fail", n) for n in range(20)))
    wait_until(lambda: len({row["pid"] for row in fleet.ran("fail")}) == 2, what="both work")
    wait_until(lambda: speakers(log) >= {"supervisor", "worker[0]", "worker[1]"}, what="all write into the new file")

    assert written == old.read_text()
    assert 0 == fleet.stop()
    assert written == old.read_text()


def speakers(log: Path) -> set[str]:
    return {json.loads(line)["process"] for line in log.read_text().split("\n") if line.endswith("}")}


def test_a_tree_that_stands_still_for_longer_than_the_watchdog_goes_on_and_nobody_is_killed(
    start: Start, raw_redis: redis.Redis
) -> None:
    """As when a laptop or a virtual machine is suspended; 60 s: `./run python -m tests.chaos bar-standstill --full`."""
    fleet = start("--procs", "2", "--watchdog", "2", "--lease", "1").ready()
    raw_redis.rpush("task_queue", *(message("hold", n, sleep=8) for n in range(4)))
    wait_until(lambda: len(fleet.ran("hold")) == 4)
    tree = fleet.tree()
    for pid in tree:  # the supervisor first: it must not see the others stand still
        os.kill(pid, STOP)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() > began + 7)
    for pid in reversed(tree):
        os.kill(pid, CONT)
    raw_redis.rpush("task_queue", message("note", 1))
    wait_until(lambda: fleet.ran("note"), what="it goes on")
    wait_until(lambda: len(fleet.ran("held")) >= 4, 30, "what ran goes on")

    assert tree == fleet.tree()
    assert [] == fleet.events("child died")
    assert 4 == len(fleet.ran("hold"))
    wait_until(lambda: fleet.get("/readyz")[0] == 200, what="ready")
    assert 0 == fleet.stop()


ORPHANS = (
    TASKS
    + '''
@task("leave")
async def leave(payload):
    """Starts a process in a session of its own that starts another and ends: the other is an orphan."""
    program = "import subprocess; print(subprocess.Popen(['sleep', '0.5'], start_new_session=True).pid)"
    child = await asyncio.create_subprocess_exec("python3", "-c", program, start_new_session=True)
    await child.wait()
    record(name="leave", n=payload["n"])
'''
)


@pytest.mark.parametrize("flags", WAYS)
def test_as_pid_1_it_reaps_orphans_replaces_workers_and_obeys(
    start: Start, raw_redis: redis.Redis, flags: tuple[str, ...]
) -> None:
    fleet = start("--procs", "2", *flags, tasks=ORPHANS, wrapper=as_pid_1()).ready()
    (supervisor,) = descendants(fleet.process.pid)[:1]
    raw_redis.rpush("task_queue", *(message("leave", n) for n in range(10)))
    wait_until(lambda: len(fleet.ran("leave")) == 10)
    wait_until(lambda: not zombies(supervisor) and "sleep" not in names(supervisor), what="the orphans are reaped")
    (victim, *_) = workers_below(supervisor)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len([e for e in fleet.events("child ready") if e["role"] == "worker"]) == 3, what="replaced")
    raw_redis.rpush("task_queue", message("note", 1))
    wait_until(lambda: fleet.ran("note"))
    living = descendants(supervisor)
    os.kill(supervisor, TERM)

    assert 0 == fleet.process.wait(20)
    assert 1 == len(fleet.events("child died"))
    assert [] == [pid for pid in living if alive(pid)]


@pytest.mark.parametrize("command", ['"$@"; true', 'exec "$@"'])
def test_it_warns_of_a_shell_that_is_process_1_and_would_keep_its_signals(start: Start, command: str) -> None:
    fleet = start("--procs", "1", wrapper=(*as_pid_1(), "sh", "-c", command, "sh")).ready()
    warned = fleet.events("process 1 is a shell")

    assert bool(warned) == (not command.startswith("exec"))
    (shell,) = descendants(fleet.process.pid)[:1]
    os.kill(shell, TERM if not warned else signal.SIGKILL)
    fleet.process.wait(20)


def names(pid: int) -> list[str]:
    found = []
    for child in descendants(pid):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if alive(child):
                found.append(Path(f"/proc/{child}/comm").read_text().strip())
    return found


def zombies(pid: int) -> list[int]:
    return [child for child in descendants(pid) if proc.state_of(child) == "Z"]


def workers_below(pid: int) -> list[int]:
    """The youngest children; in another namespace the log's pids are not ours."""
    return sorted((child for child in descendants(pid) if proc.parent(child) == pid), reverse=True)
