"""The processes of a test run: which children of ours are alive, and the end of those that a test left.

Used by tests/conftest.py around every test, so that also one that ran out of time leaves nothing running. Linux; where
there is no procfs nobody is seen and nothing is ended.
"""

import contextlib
import gc
import os
import signal
import subprocess
from pathlib import Path


def children() -> dict[int, str]:
    """Our living children, pid -> command; zombies do not live."""
    found: dict[int, str] = {}
    for tasks in Path("/proc/self/task").glob("*/children"):
        try:
            pids = [int(pid) for pid in tasks.read_text().split()]
        except OSError:  # a thread that has just ended
            continue
        found |= {pid: command for pid in pids if (command := _command(pid))}
    return found


def end(pids: set[int]) -> None:
    """Kill and reap them; what they started in turn dies with them or is no child of ours."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # somebody else has reaped it meanwhile
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    for thing in gc.get_objects() if pids else ():
        if isinstance(thing, subprocess.Popen) and thing.pid in pids:
            thing.wait()  # else it complains when it is collected, which may be in another test


def _command(pid: int) -> str:
    """What runs under this pid; "" if it has ended, also as long as nobody has reaped it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
