"""What a supervisor's parent and its children weigh, their threads, and how long a child takes to be ready.

A real supervisor on a private Redis, with an app of one task that nobody enqueues. Read from /proc when all children
are ready: the memory of idle processes. `boot_ms` is the supervisor's own figure, from the fork to the child's message.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.procfs import memory
from benchmarks.server import private_redis

APP: Final = """from asyncq import task


@task("noop")
async def noop(payload): ...
"""
_THREADS: Final = re.compile(r"^Threads:\s+(\d+)$", re.MULTILINE)

Row = dict[str, Any]


def main(procs: int, runs: int, server: str | None) -> None:
    """Start and look `runs` times; prints one JSON line per role: median, smallest, largest of each figure."""
    rows: list[Row] = []
    for _ in range(runs):
        with private_redis(server, None, aof=False) as (url, _version), tempfile.TemporaryDirectory() as folder:
            rows += _one(Path(folder), url, procs)
    for role in dict.fromkeys(row["role"] for row in rows):
        mine = [row for row in rows if row["role"] == role]
        figures = {key: _spread([row[key] for row in mine]) for key in mine[0] if key != "role"}
        print(json.dumps({"scenario": "processes", "role": role, "looked_at": len(mine), **figures}))


def _one(folder: Path, url: str, procs: int) -> list[Row]:
    (folder / "tasks.py").write_text(APP)
    command = [sys.executable, "-m", "asyncq", "supervise", "--procs", str(procs)]
    command += ["--metrics-port", "0", "--log-format", "json", "--log-level", "INFO", "--delivery", "at-least-once"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("ASYNCQ_")}
    environ |= {"ASYNCQ_REDIS_URL": url, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True) as parent:
        try:
            looked = [{**child, **_look(pid)} for pid, child in list(_ready_children(parent))]
            return [{"role": "parent", **_look(parent.pid)}, *looked]
        finally:
            parent.terminate()
            parent.communicate()


def _ready_children(parent: subprocess.Popen[str]) -> Iterator[tuple[int, Row]]:
    """The pid of each child as it says that it is ready, until all have."""
    assert parent.stderr is not None
    said = ""
    for line in parent.stderr:
        said = line
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "child ready":
            yield event["pid"], {"role": event["role"], "boot_ms": event["boot_s"] * 1000}
        elif event.get("event") == "ready":
            return
    raise RuntimeError(f"the supervisor ended before it was ready: {said.strip()}")


def _look(pid: int) -> Row:
    """Memory in MiB: resident, and what this process alone has; and its threads."""
    weighs = memory(pid)
    threads = _THREADS.search(Path(f"/proc/{pid}/status").read_text())
    assert threads
    return {
        "resident_mib": weighs["resident_mib"],
        "private_mib": weighs["private_mib"],
        "threads": int(threads[1]),
    }


def _spread(values: list[float]) -> list[float]:
    return [round(value, 1) for value in (statistics.median(values), min(values), max(values))]
