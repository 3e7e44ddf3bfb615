"""`asyncq worker` under SIGTSTP and SIGCONT, with a real Redis."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from asyncq.core.codec import encode
from tests.support.commands import clean_environ
from tests.support.states import wait_until

TASKS = """
import asyncio, pathlib
from asyncq import task

@task("wait")
async def wait(payload):
    pathlib.Path(f"started-{payload}").touch()
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)  # sleeps: it looks again until the file is there
    pathlib.Path(f"ended-{payload}").touch()
"""
MODES = ["at-least-once", "at-most-once"]


class Running:
    """The command, its folder, and what it said."""

    def __init__(self, folder: Path, redis_url: str, delivery: str) -> None:
        self.folder = folder
        (folder / "tasks.py").write_text(TASKS)
        arguments = ["worker", "--per-proc", "2", "--delivery", delivery, "--log-format", "json"]
        self.err = folder / "err"
        environ = clean_environ(ASYNCQ_REDIS_URL=redis_url)
        with self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "asyncq", *arguments], cwd=folder, env=environ, stderr=err
            )

    def send(self, number: int, event: str) -> None:
        self.process.send_signal(number)
        wait_until(lambda: event in self.events(), what=event)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.err.read_text().splitlines()]

    def files(self, kind: str) -> list[int]:
        return sorted(int(path.name.partition("-")[2]) for path in self.folder.glob(f"{kind}-*"))


@pytest.fixture(params=MODES)
def running(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Iterator[Running]:
    running = Running(tmp_path, redis_url, request.param)
    yield running
    running.process.terminate()
    try:
        running.process.wait(20)
    finally:
        running.process.kill()
        running.process.wait()
    assert running.process.returncode == 0, running.err.read_text()


def test_it_takes_nothing_while_quiet_and_runs_all_afterwards(running: Running, raw_redis: redis.Redis) -> None:
    push(raw_redis, 0, 1, 2, 3)
    wait_until(lambda: running.files("started") == [0, 1])
    running.send(signal.SIGTSTP, "quiet: takes nothing until SIGCONT")
    wait_until(lambda: waiting(raw_redis) == [2, 3], what="what was read ahead has gone back")
    push(raw_redis, 4)
    (running.folder / "go").touch()
    wait_until(lambda: running.files("ended") == [0, 1])
    wait_until(lambda: raw_redis.llen("task_queue") == 3 and not blocked(raw_redis))
    assert (running.files("started"), waiting(raw_redis)) == ([0, 1], [2, 3, 4])

    running.send(signal.SIGCONT, "takes again")
    wait_until(lambda: running.files("ended") == [0, 1, 2, 3, 4])
    assert raw_redis.llen("task_queue") == 0


def test_an_idle_one_leaves_what_comes_to_others(running: Running, raw_redis: redis.Redis) -> None:
    wait_until(lambda: blocked(raw_redis))
    running.send(signal.SIGTSTP, "quiet: takes nothing until SIGCONT")
    wait_until(lambda: not blocked(raw_redis))
    (running.folder / "go").touch()
    push(raw_redis, 0)
    assert waiting(raw_redis) == [0]

    running.send(signal.SIGCONT, "takes again")
    wait_until(lambda: running.files("ended") == [0])


def push(client: redis.Redis, *payloads: int) -> None:
    fields = ({"id": str(number), "name": "wait", "payload": number, "timestamp": 1.5} for number in payloads)
    client.rpush("task_queue", *map(encode, fields))


def waiting(client: redis.Redis) -> list[int]:
    return [json.loads(raw)["payload"] for raw in client.lrange("task_queue", 0, -1)]


def blocked(client: redis.Redis) -> list[str]:
    """Connections that wait for messages of the queue. Maintenance waits, too: for what is due."""
    return [row["name"] for row in client.client_list() if "b" in row["flags"] and not row["name"].endswith("-due")]
