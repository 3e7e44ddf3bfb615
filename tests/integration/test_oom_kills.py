"""The kernel kills a process for its memory, and the count that the supervisor looks at goes up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncq.core.cgroup import lineages, read_file
from tests.support.states import wait_until

# Joins the group given to it, and says how often the kernel has killed there before and after it had a child that eats
# memory until it is killed.
VICTIMS_PARENT = """
import os, subprocess, sys
from asyncq.core.cgroup import oom_kills
with open(sys.argv[1] + "/cgroup.procs", "w") as group:
    group.write(str(os.getpid()))
before = oom_kills()
eater = subprocess.run([sys.executable, "-c", "x = [bytearray(b'x') * (1 << 20) for _ in range(4096)]"])
print(before, eater.returncode, oom_kills())
"""
LIMIT_BYTES = 64 * 1024 * 1024


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A memory group of the test's own, or a skip that says why there is none."""
    found = next(lineages("memory", read_file), None)
    if found is None:
        pytest.skip("no memory hierarchy is mounted here")
    folder = Path(found.folders[-1]) / f"asyncq-test-{os.getpid()}"
    limits = ("memory.max", "memory.swap.max") if found.v2 else ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no memory group of our own can be made: {error}")
    try:
        (folder / limits[0]).write_text(str(LIMIT_BYTES))
        with contextlib.suppress(
            OSError
        ):  # no account of swap: then there is none to flee to, or the eater needs longer
            (folder / limits[1]).write_text("0" if found.v2 else str(LIMIT_BYTES))
    except OSError as error:
        folder.rmdir()
        pytest.skip(f"the memory of a group cannot be limited: {error}")
    yield folder
    wait_until(lambda: not (folder / "cgroup.procs").read_text(), what="everybody has left the group")
    folder.rmdir()


def test_a_real_kill_for_memory_is_counted(small_group: Path) -> None:
    command = [sys.executable, "-c", VICTIMS_PARENT, str(small_group)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    before, code, after = map(int, done.stdout.split())
    assert (before, code, after) == (0, -signal.SIGKILL, 1)
