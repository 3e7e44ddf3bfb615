"""What a run of the tests promises: a hanging test ends with its processes, leaks fail, its seeds repeat it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import is_alive
from tests.support.states import wait_until

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import os, pathlib, random, signal, subprocess, sys
from hypothesis import given, strategies

def test_hanging(redis_url, raw_redis):
    server = raw_redis.info("server")["process_id"]
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    pathlib.Path("pids").write_text(f"{server} {child.pid}")
    signal.pause()

def test_leaking(raw_redis):
    raw_redis.set("asyncq:{q}:q:lock", 1)

def test_random():
    print("drawn", random.random())
    assert False

@given(strategies.integers())
def test_hypothesis(number):
    print("drawn", number)
    assert number % 7 != 3  # hypothesis tries 0 first, and then at random
"""


def start(folder: Path, *flags: str) -> "subprocess.Popen[str]":
    """Run pytest with this suite's conftest on PROGRAM in a folder of its own."""
    (folder / "test_program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"), "-q", "-n0"]
    command += ["--rootdir", str(folder), "-p", "no:cacheprovider", "--color=no", *flags, "test_program.py"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)


def output(process: "subprocess.Popen[str]") -> str:
    with process:
        try:
            return process.communicate(timeout=60)[0]
        finally:
            process.kill()


def drawn(said: str) -> list[str]:
    return sorted(re.findall(r"^drawn .*$", said, re.MULTILINE))


@pytest.mark.skipif(sys.platform != "linux", reason="asks procfs")
def test_run_goes_on_and_names_what_is_wrong_when_tests_hang_and_leak(tmp_path: Path) -> None:
    said = output(start(tmp_path, "--timeout=2"))
    server, child = pids(tmp_path)
    assert "Failed: Timeout (>2.0s)" in said
    assert f"processes that the test left running (killed now): {{{child}: " in said
    assert "asyncq:{q}:q:lock: of a kind that" in said
    assert re.search(r"^3 failed, 1 passed, 2 errors in", said, re.MULTILINE)
    assert (is_alive(server), is_alive(child)) == (False, False)

    found = re.search(r"^the same run again: (--randomly-seed=\d+) (--hypothesis-seed=\d+)$", said, re.MULTILINE)
    assert found is not None
    again = output(start(tmp_path, *found.groups(), "-k", "random or hypothesis"))
    assert drawn(said) == drawn(again)
    assert len(set(drawn(said))) > 2


@pytest.mark.skipif(sys.platform != "linux", reason="servers die with their parent on Linux only")
def test_server_is_gone_when_the_run_was_killed(tmp_path: Path) -> None:
    with start(tmp_path, "-k", "hanging") as process:
        try:
            wait_until(lambda: (tmp_path / "pids").exists() and len(pids(tmp_path)) == 2, 20)
        finally:
            process.kill()
    server, child = pids(tmp_path)
    os.kill(child, signal.SIGKILL)  # of what a test starts by itself it alone knows
    wait_until(lambda: not is_alive(server), what="the server follows")


def pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def test_every_test_has_a_time_limit(pytestconfig: pytest.Config) -> None:
    assert 0 < float(pytestconfig.getini("timeout")) <= 120
