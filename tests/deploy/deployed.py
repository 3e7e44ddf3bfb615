"""Runs the real supervisor as the files under deploy/ say."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.deploy import facts, manifest_rules, unit_rules
from tests.support.commands import clean_environ
from tests.support.namespaces import as_pid_1
from tests.support.service_manager import ServiceManager
from tests.support.states import wait_until

TASKS = '''
import asyncio
from asyncq import task

@task("echo")
async def echo(payload): ...

@task("fail", max_attempts=1)
async def fail(payload): raise ValueError("it always fails")

@task("hold")
async def hold(payload):
    """Runs until the file is there."""
    from pathlib import Path
    while not Path(payload["until"]).exists():
        await asyncio.sleep(0.01)  # sleeps: the handler waits for a file
'''
# Every mount but those of the kernel becomes read-only, every right goes, then the command takes over as PID 1.
READ_ONLY = """
set -e
mount --make-rprivate /
while read -r id parent device root place rest; do
    case "$place" in /proc*|/sys*|/dev*) continue ;; esac
    mount -o remount,bind,ro "$place"
done < /proc/self/mountinfo
if touch written 2>/dev/null; then echo 'the folder is still writable' >&2; exit 99; fi
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


class Deployed:
    """One supervisor in a folder with `TASKS`; on exit from the `with` nothing of it is left."""

    def __init__(self, folder: Path, command: list[str], environ: dict[str, str], tasks: str = TASKS) -> None:
        (folder / "tasks.py").write_text(tasks)
        self._said = folder / "stderr"
        with self._said.open("w") as stderr:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=clean_environ(PYTHONDONTWRITEBYTECODE="1", **environ, ASYNCQ_METRICS_PORT="0"),
                stderr=stderr,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            print(self.said())
        if self.process.poll() is None:
            self.process.kill()  # its children die with it
        self.process.wait()

    def said(self) -> str:
        """Standard error so far."""
        return self._said.read_text()

    def records(self, event: str) -> list[dict[str, Any]]:
        """Log records of that event so far."""
        lines = [line for line in self.said().splitlines() if line.startswith("{") and line.endswith("}")]
        return [record for record in map(json.loads, lines) if record["event"] == event]

    def get(self, path: str) -> tuple[int, str]:
        """An answer of the admin process: status and text."""
        port = self.records("supervising")[0]["metrics"].removesuffix("/metrics").rpartition(":")[2]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def processed(self, outcome: str) -> float:
        """How many attempts ended so."""
        lines = self.get("/metrics")[1].splitlines()
        rows = [line for line in lines if line.startswith("asyncq_tasks_processed_total") and f'"{outcome}"' in line]
        return sum(float(row.rpartition(" ")[2]) for row in rows)

    def stop(self, pid: int | None = None) -> None:
        """As systemd does it: SIGTERM to the main process, and SIGCONT in case that it was stopped."""
        for number in (signal.SIGTERM, signal.SIGCONT):
            os.kill(pid or self.process.pid, number)

    def end(self, timeout_s: float = 40.0) -> int:
        """The exit code."""
        return self.process.wait(timeout_s)


def program() -> list[str]:
    """The command as pip installs it."""
    script = Path(sys.executable).with_name(facts.PROGRAM)
    return [str(script)] if script.is_file() else [sys.executable, "-m", "asyncq", "supervise"]


def under_systemd(folder: Path, redis_url: str, manager: ServiceManager, tasks: str = TASKS, **more: str) -> Deployed:
    """What the unit starts, with this Redis in its environment file."""
    place = facts.ROOT / "deploy" / "systemd"
    service = unit_rules.parse((place / "asyncq.service").read_text())["Service"]
    environ = unit_rules.parse_environment((place / "asyncq.env.example").read_text())
    environ |= {"ASYNCQ_REDIS_URL": redis_url, "NOTIFY_SOCKET": manager.address, **more}
    return Deployed(folder, [*program(), *shlex.split(service["ExecStart"])[1:]], environ, tasks)


def in_a_container(folder: Path, redis_url: str, **more: str) -> Deployed:
    """What the manifest starts: PID 1, no capability, nothing to write on. Skips where that is not to be had."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    container = manifest_container()
    environ = {**manifest_rules.environ_of(container, redis_url), **more}
    wrapped = [*as_pid_1("--mount"), "sh", "-c", READ_ONLY, "sh", *program(), *container["command"][1:]]
    return Deployed(folder, wrapped, environ)


def manifest_container() -> dict[str, Any]:
    """The container of the manifest."""
    text = (facts.ROOT / "deploy" / "kubernetes" / "asyncq.yaml").read_text()
    (container,) = manifest_rules.deployment(text)["spec"]["template"]["spec"]["containers"]
    return dict(container)


def inner_pid(deployed: Deployed) -> int:
    """PID 1 of the container, as this side of the wall knows it."""
    children = Path(f"/proc/{deployed.process.pid}/task/{deployed.process.pid}/children")
    return int(wait_until(lambda: children.read_text().split(), 5.0, "the container's PID 1")[0])


def settled(deployed: Deployed, outcome: str, count: int, timeout_s: float = 10.0) -> None:
    """Wait until that many attempts ended so."""
    wait_until(lambda: deployed.processed(outcome) >= count, timeout_s, f"{count} {outcome}: {deployed.said()}")
