"""One standard error for many processes: nothing is torn, and after a rotation all of them go on in the new file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

PROCESSES = 8
SIZES = (100, 5000, 20_000)
ROUNDS = 20
# All begin at the same moment, when their standard input ends.
WRITER = """
import logging, sys
from asyncq.core import logs
logs.configure(f"worker[{sys.argv[1]}]", form=sys.argv[2])
log = logging.getLogger("asyncq.test")
sys.stdin.read()
for round in range(int(sys.argv[3])):
    for size in map(int, sys.argv[4:]):
        log.info("said", extra={"id": f"{round}-{size}", "text": sys.argv[1] * size})
"""


def written(form: str) -> bytes:
    """What arrives at the other end of a pipe that all of them have as standard error."""
    reading, writing = os.pipe()
    arguments = [form, str(ROUNDS), *map(str, SIZES)]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(number), *arguments], stdin=subprocess.PIPE, stderr=writing)
        for number in range(PROCESSES)
    ]
    os.close(writing)
    try:
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
        with os.fdopen(reading, "rb") as said:
            found = said.read()
        assert [writer.wait(20) for writer in writers] == [0] * PROCESSES
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    return found


def test_no_json_record_of_eight_processes_on_one_pipe_is_torn() -> None:
    texts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for raw in written("json").splitlines():
        line = json.loads(raw)
        assert len(raw) < 4096
        texts[line["process"], line["id"]].append(line["text"])
    expected = {
        (f"worker[{number}]", f"{round}-{size}"): str(number) * size
        for number in range(PROCESSES)
        for round in range(ROUNDS)
        for size in SIZES
    }
    assert {key: "".join(pieces) for key, pieces in texts.items()} == expected


def test_no_text_line_of_eight_processes_on_one_pipe_is_torn() -> None:
    count = 0
    for line in written("text").decode().splitlines():
        clock, level, process, rest = line.split(" ", 3)
        number = process.removeprefix("worker[").removesuffix("]")
        assert (len(clock), level) == (len("12:00:01.123"), "INFO")
        assert set(rest.rpartition(" ")[2].removeprefix("text=")) == {number}
        count += 1
    assert count == PROCESSES * ROUNDS * (1 + 2 + 5)


ROTATION = """
import logging, os, signal, sys
from asyncq.core import logs
logs.configure("worker[0]", form="json")
say = logging.getLogger("asyncq.test").info
signal.signal(signal.SIGUSR1, lambda number, frame: logs.reopen())

def reopen():
    os.kill(os.getpid(), signal.SIGUSR1)

def forked(what):
    "Do it in a child."
    pid = os.fork()
    if pid == 0:
        what()
        os._exit(0)
    os.waitpid(pid, 0)
"""


@pytest.fixture
def rotated(tmp_path: Path) -> Callable[[str], dict[str, list[str]]]:
    """Runs a program whose output is the file `log`; returns the events in each file."""

    def run(program: str) -> dict[str, list[str]]:
        fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT, 0o640)
        try:
            command = [sys.executable, "-c", ROTATION + program]
            done = subprocess.run(command, cwd=tmp_path, stdout=fd, stderr=fd, timeout=20)
        finally:
            os.close(fd)
        assert done.returncode == 0, (tmp_path / "log").read_text()
        files = {path.name: path.read_text().splitlines() for path in tmp_path.rglob("*") if path.is_file()}
        return {name: [json.loads(line)["event"] for line in lines] for name, lines in files.items()}

    return run


Rotated = Callable[[str], dict[str, list[str]]]


def test_after_a_rotation_the_signal_leads_to_a_new_file_of_the_old_name(rotated: Rotated, tmp_path: Path) -> None:
    found = rotated("""
say("before")
os.rename("log", "log.1")
say("between")
reopen()
say("after")
print('{"event": "standard output, too"}', flush=True)
os.rename("log", "log.2")
reopen()
say("once more")
""")
    assert found == {
        "log": ["once more"],
        "log.1": ["before", "between"],
        "log.2": ["after", "standard output, too"],
    }
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


def test_a_child_forked_after_the_rotation_knows_the_name_from_before(rotated: Rotated) -> None:
    found = rotated("""
os.rename("log", "log.1")
def child():
    logs.configure("worker[1]", form="json")
    say("before")
    reopen()
    say("after")
forked(child)
reopen()
say("its parent")
""")
    assert found == {"log": ["after", "its parent"], "log.1": ["before"]}


def test_a_descriptor_that_leads_elsewhere_by_now_is_left_alone(rotated: Rotated) -> None:
    found = rotated("""
os.rename("log", "log.1")
box = os.memfd_create("box")
os.dup2(box, 2)
reopen()
say("into the box")
os.pread(box, 1000, 0).index(b"into the box")
print('{"event": "out"}')
""")
    assert found == {"log": ["out"], "log.1": []}


def test_where_no_file_can_be_made_the_old_one_stays(rotated: Rotated, tmp_path: Path) -> None:
    rotated("""
os.mkdir("old")
os.rename("log", "old/log")
os.mkdir("log")
reopen()
say("still here")
os.rmdir("log")
reopen()
say("here again")
""")
    old, new = ((tmp_path / name).read_text() for name in ("old/log", "log"))
    events = [json.loads(line)["event"] for line in old.splitlines()]
    assert events == ["log not reopened", "log not reopened", "still here"]  # of standard output, and of standard error
    assert json.loads(new)["event"] == "here again"


@pytest.mark.parametrize("program", ["", "os.close(2)", "os.dup2(os.open('gone', os.O_RDWR | os.O_CREAT), 2)"])
def test_on_a_pipe_nothing_happens(tmp_path: Path, program: str) -> None:
    said = "\nprint(logs.reopen())"
    command = [sys.executable, "-c", ROTATION + program + said]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
