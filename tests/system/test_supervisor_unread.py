"""A supervisor whose standard error nobody reads any more: a closed terminal, `| head`. Nothing else may change."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.fleet import TASKS
from tests.support.states import wait_until
from tests.support.supervised import Supervised

SLOW_BOOT = """
import os, time
while not os.path.exists("go"):
    time.sleep(0.01)  # sleeps: a user's program, which has no helper of the tests
"""


def test_exit_is_3_when_the_first_boot_fails_and_nobody_reads_why() -> None:
    with Supervised({"role": "worker", "target": "app_missing"}, stderr_unread=True) as tree:
        assert tree.finish(10.0) == 3
        assert [line["exit_code"] for line in tree.all("GaveUp")] == [3]


def test_worker_is_replaced_and_drains_when_nobody_reads_the_log() -> None:
    with Supervised({"role": "worker", "target": "worker"}, stderr_unread=True) as tree:
        (victim,) = tree.ready_pids(1)
        os.kill(victim, signal.SIGKILL)
        assert tree.next("ChildReady")["pid"] != victim
        tree.signal(signal.SIGTERM)
        assert tree.finish() == 0


def answer(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


def test_fleet_gets_ready_and_keeps_its_workers_when_the_terminal_is_closed(tmp_path: Path, redis_url: str) -> None:
    (tmp_path / "tasks.py").write_text(SLOW_BOOT + TASKS)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ASYNCQ_", "REDIS_URL"))}
    env |= {"RECORD": str(tmp_path / "record"), "ASYNCQ_REDIS_URL": redis_url}
    command = [sys.executable, "-m", "asyncq", "supervise", "--procs", "1", "--metrics-port", "0"]
    command += ["--log-format", "text"]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            while not (found := re.search(r"(http://\S+)/metrics", said)):
                said += process.stderr.readline()
            process.stderr.close()
            (tmp_path / "go").touch()  # only now do the worker and the supervisor become ready, and say so
            wait_until(lambda: answer(found[1] + "/readyz")[0] == 200)
            page = answer(found[1] + "/metrics")[1]
            restarts = re.findall(r"^asyncq_worker_restarts_total\{.*\} (.*)$", page, re.MULTILINE)
            assert set(restarts) == {"0.0"}
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0
        finally:
            process.kill()
