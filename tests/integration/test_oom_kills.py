"""The kernel kills a process for its memory, and the count that the supervisor looks at goes up."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.support.memory_group import memory_group

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


def test_a_real_kill_for_memory_is_counted() -> None:
    with memory_group(LIMIT_BYTES) as group:
        command = [sys.executable, "-c", VICTIMS_PARENT, str(group)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    before, code, after = map(int, done.stdout.split())
    assert (before, code, after) == (0, -signal.SIGKILL, 1)
