"""Sentences of SECURITY.md that no other test holds: secrets, payloads in logs and pages, names, nesting, rights."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from asyncq.broker import embedded
from asyncq.core import codec
from asyncq.core.errors import MessageDecodeError
from tests.docs.page import PACKAGE
from tests.support.commands import ROOT, clean_environ
from tests.support.states import wait_until

PASSWORD = "the-password-of-redis"
SECRET = "4111-1111-1111-1111"
PAGES = ("/metrics", "/livez", "/readyz", "/startupz")
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
TASKS = """
from pathlib import Path
from asyncq import task

@task("good")
async def good(payload): ...

@task("retry")
async def retry(payload):
    raise ValueError("it always fails")

@task("fail", max_attempts=1)
async def fail(payload):
    raise ValueError("it always fails")

def not_a_task(payload):
    Path("ran").touch()
"""


@pytest.fixture
def guarded(redis_server: str) -> Iterator[tuple[str, redis.Redis]]:
    """URL, with its password, of a server that wants one; and a client."""
    with embedded.start_ephemeral(redis_server) as server:
        client = redis.Redis(unix_socket_path=server.plan.socket, password=PASSWORD)
        with redis.Redis(unix_socket_path=server.plan.socket) as first:
            first.config_set("requirepass", PASSWORD)
        yield f"unix://:{PASSWORD}@{server.plan.socket}", client
        client.close()


class Fleet:
    """A supervisor that finds the URL in a file, and logs whatever it can into another one."""

    def __init__(self, folder: Path, url: str) -> None:
        (folder / "tasks.py").write_text(TASKS)
        (folder / "url").write_text(url)
        self.log = folder / "log"
        command = [sys.executable, "-m", "asyncq", "supervise", "--procs", "1", "--metrics-port", "0"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--log-level", "DEBUG", "--log-format", "json"],
                cwd=folder,
                env=clean_environ(ASYNCQ_REDIS_URL_FILE=str(folder / "url")),
                stdout=log,
                stderr=log,
            )

    def events(self, name: str) -> list[dict[str, object]]:
        lines = self.log.read_text().splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [record for record in records if record["event"] == name]

    def ready(self) -> None:
        wait_until(lambda: self.events("ready") or self.process.poll() is not None, 20)
        assert self.process.poll() is None, self.log.read_text()

    def pids(self) -> list[int]:
        return [self.process.pid, *(int(str(event["pid"])) for event in self.events("child ready"))]

    def ask(self, page: str, method: str = "GET") -> tuple[int, str]:
        address = str(self.events("supervising")[0]["metrics"]).removesuffix("/metrics") + page
        try:
            with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def fleet(tmp_path: Path, guarded: tuple[str, redis.Redis]) -> Iterator[Fleet]:
    begun = Fleet(tmp_path, guarded[0])
    yield begun
    begun.end()


def message(name: str) -> bytes:
    fields = {"id": f"id of {name}", "name": name, "payload": {"card": SECRET}, "timestamp": 1.0}
    return json.dumps(fields).encode()


def test_secrets_and_payloads_stay_where_they_are(
    fleet: Fleet, guarded: tuple[str, redis.Redis], tmp_path: Path
) -> None:
    client = guarded[1]
    fleet.ready()
    names = ("good", "fail", "retry", "not_a_task", "tasks:not_a_task", "tasks.not_a_task", "os.system")
    client.rpush("task_queue", *map(message, names), SECRET.encode(), b'{"payload": "%s"}' % SECRET.encode())
    scheduled, dead = (f"asyncq:{{task_queue}}:task_queue:{kind}" for kind in ("scheduled", "dead"))
    wait_until(lambda: (client.zcard(scheduled), client.zcard(dead)) == (5, 3))

    pages = "".join(fleet.ask(page)[1] for page in PAGES)
    seen = "".join(Path(f"/proc/{pid}/{what}").read_text() for pid in fleet.pids() for what in ("cmdline", "environ"))
    fleet.process.send_signal(signal.SIGTERM)
    assert 0 == fleet.process.wait(20)
    log = fleet.log.read_text()

    assert ["exhausted", "malformed", "malformed"] == sorted(
        str(each["reason"]) for each in fleet.events("dead letter")
    )
    assert 'asyncq_tasks_processed_total{outcome="succeeded",queue="task_queue",task="good"} 1.0' in pages
    assert "ASYNCQ_REDIS_URL_FILE" in seen
    assert "unix://***@" in log
    for text in (pages, seen, log):
        assert PASSWORD not in text
        assert SECRET not in text
    assert not re.search(r"os\.system|not_a_task", pages)
    assert not (tmp_path / "ran").exists()


def test_pages_only_answer(fleet: Fleet) -> None:
    fleet.ready()
    answers = {page: {method: fleet.ask(page, method)[0] for method in ("GET", "HEAD", *CHANGING)} for page in PAGES}

    assert {page: {"GET": 200, "HEAD": 200, **dict.fromkeys(CHANGING, 405)} for page in PAGES} == answers


def nested(levels: int) -> bytes:
    """A message of so many levels, itself included."""
    inner = b"[" * (levels - 1) + b"]" * (levels - 1)
    return b'{"id": "1", "name": "n", "timestamp": 1.0, "payload": %s}' % inner


def test_a_message_of_1024_levels_is_read_and_can_be_retried() -> None:
    raw = nested(1024)

    assert 2 == codec.decode(codec.replace_members(raw, {"attempt": 2})).attempt


@pytest.mark.parametrize("levels", [1025, 200_000])
def test_a_deeper_message_is_none(levels: int) -> None:
    with pytest.raises(MessageDecodeError, match="depth limit"):
        codec.decode(nested(levels))


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda client: client.lrange("task_queue", 0, -1),
        lambda client: client.lpop("task_queue"),
        lambda client: client.delete("task_queue"),
        lambda client: client.zrange("asyncq:{task_queue}:task_queue:dead", 0, -1),
        lambda client: client.rpush("another_queue", "x"),
        lambda client: client.eval("return 1", 0),
    ],
    ids=["read", "take", "drop", "dead", "another", "script"],
)
def test_a_producer_that_may_only_push_can_do_nothing_else(
    guarded: tuple[str, redis.Redis], forbidden: Callable[[redis.Redis], object]
) -> None:
    admin = guarded[1]
    admin.execute_command("ACL", "SETUSER", "p", "on", ">pw", "resetchannels", "~task_queue", "-@all", "+rpush")
    socket = admin.connection_pool.connection_kwargs["path"]
    with redis.Redis(unix_socket_path=socket, username="p", password="pw") as producer:
        assert 1 == producer.rpush("task_queue", message("good"))
        with pytest.raises(redis.exceptions.NoPermissionError):
            forbidden(producer)


def test_what_it_names_exists() -> None:
    """Options, variables and files between backticks."""
    codes = re.findall(r"`([^`]+)`", (ROOT / "SECURITY.md").read_text())
    offered = subprocess.run(
        [sys.executable, "-m", "asyncq", "supervise", "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    options = [word for code in codes for word in code.split() if word.startswith("--")]
    variables = [word for code in codes for word in re.findall(r"ASYNCQ_\w+?(?=_FILE|\b)", code)]
    paths = [code for code in codes if re.fullmatch(r"[\w./]+\.(py|md)", code) and code != "tasks.py"]

    assert [] == [word for word in options + variables if word not in offered]
    assert [] == [path for path in paths if not any((place / path).exists() for place in (ROOT, PACKAGE.parent))]
    assert (4, 2) <= (len(options) + len(variables), len(paths))
