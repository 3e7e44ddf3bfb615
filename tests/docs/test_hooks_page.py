"""docs/how-to/hooks.md: its app is run under a supervisor, one of its workers killed; its tables are the code's."""

import inspect
import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import redis

from asyncq.core.codec import encode
from asyncq.core.hooks import Crash, Hooks
from asyncq.supervisor.scoreboard import RESTART_REASONS
from asyncq.worker import hooking
from tests.docs.page import ROOT, names
from tests.support.fleet import Fleet
from tests.support.states import wait_until

PATH = ROOT / "docs/how-to/hooks.md"
PAGE = PATH.read_text(encoding="utf-8")
APP = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
NOTES = """
import json, os

def note(what, *more):
    with open("notes", "a") as file:
        file.write(json.dumps([what, os.getpid(), *more]) + "\\n")
"""
MODULES = {
    "notes": NOTES,
    "models": """
from notes import note

class Model:
    @classmethod
    def load(cls, name):
        note("model", name)
        return cls()

    def classify(self, pixels):
        return "cat" if pixels else "nothing"
""",
    "store": """
from notes import note

class Pool:
    def __init__(self, size):
        self.size = size

    async def __aenter__(self):
        note("opened", self.size)
        return self

    async def __aexit__(self, *error):
        note("closed")

    async def save(self, *row):
        note("saved", *row)
""",
    "tickets": """
from notes import note

async def open_ticket(*said):
    note("ticket", *said)
""",
}


@contextmanager
def ended(fleet: Fleet) -> Iterator[Fleet]:
    try:
        yield fleet
    finally:
        fleet.end()


def rows(first_column: str) -> list[list[str]]:
    """The cells below the heads of the table whose first column is called so."""
    lines = PAGE.partition(f"\n| {first_column} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_its_app_opens_closes_and_tells_as_it_says(tmp_path: Path, redis_url: str, raw_redis: redis.Redis) -> None:
    for name, source in MODULES.items():
        (tmp_path / f"{name}.py").write_text(source)

    def noted(what: str) -> list[list[object]]:
        lines = (tmp_path / "notes").read_text().splitlines()
        return [rest for first, *rest in map(json.loads, lines) if first == what]

    with ended(Fleet(tmp_path, redis_url, "--procs", "2", tasks=APP)) as fleet:
        fleet.ready()
        first, second = fleet.pids("worker")
        assert {first, second} == {pid for pid, _ in noted("opened")}
        assert 1 == len(noted("model"))
        photo = {"id": "m1", "name": "classify", "payload": {"id": 7, "pixels": [1]}, "timestamp": 1.5}
        raw_redis.rpush("task_queue", encode(photo))
        wait_until(lambda: [row[1:] for row in noted("saved")] == [[7, "cat"]])
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: noted("ticket"))
        wait_until(lambda: len(fleet.pids("worker")) == 2)
        ((pid, said, *_),) = noted("ticket")
        assert pid in fleet.pids("worker")
        assert pid not in (first, second)
        assert re.fullmatch(r"worker [01]: killed by SIGKILL", str(said))
        last = fleet.pids("worker")
        assert 0 == fleet.stop()

    assert 1 == len(noted("model"))  # the new worker came from the same zygote
    assert set(last) == {pid for (pid,) in noted("closed")}


def test_its_hooks_are_those_of_the_code() -> None:
    decorators = {name for name, _ in inspect.getmembers(Hooks, inspect.isfunction) if name.startswith("on_")}

    assert decorators == {name.partition("(")[0] for cells in rows("hook") for name in names(cells[0])}
    assert f"Each has {hooking.STOP_S:g} s" in PAGE


def test_its_crash_is_that_of_the_code() -> None:
    said = {names(cells[0])[0]: cells[1] for cells in rows("field")}

    assert [field.name for field in fields(Crash)] == list(said)
    assert set(RESTART_REASONS) - {"external"} == set(names(said["reason"].partition(":")[0]))


def test_its_links_lead_somewhere() -> None:
    for place in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (PATH.parent / place).exists(), place
