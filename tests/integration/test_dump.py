"""SIGUSR2 to a worker whose loop is blocked, in each way in which it can be: what is written, and who is named.

A real process with uvloop and a real slot page and box; the broker lives in its memory.
"""

import asyncio
import contextlib
import itertools
import math
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest

from asyncq.core.registry import Registry
from asyncq.supervisor.blackbox import BlackBox
from asyncq.supervisor.page import Culprit, SlotPage
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.worker import main
from asyncq.worker.worker import Worker, WorkerSettings
from tests.support.memory_broker import MemoryBroker
from tests.support.states import wait_until
from tests.unit.worker.bench import message

registry = Registry()


@registry.task("loops")
async def loops(payload: object) -> None:
    while True:
        pass


@registry.task("sleeps")
async def sleeps(payload: object) -> None:
    time.sleep(600)  # noqa: ASYNC251 # sleeps: this is what blocks


@registry.task("naps")
async def naps(payload: object) -> None:
    time.sleep(0.4)  # noqa: ASYNC251 # sleeps: this is what blocks


@registry.task("matches")
async def matches(payload: object) -> None:
    re.match(r"(a|aa)+$", "a" * 80 + "b")


@registry.task("computes")
async def computes(payload: object) -> None:
    pow(7, 10**9)


@registry.task("exhausts")
async def exhausts(payload: object) -> None:
    max(itertools.repeat(0))  # C code that keeps the interpreter and asks for no signals


@registry.task("gathers")
async def gathers(payload: object) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(loops(payload), name="a part of it")


@registry.task("calls back")
async def calls_back(payload: object) -> None:
    asyncio.get_running_loop().call_soon(time.sleep, 600)  # sleeps: this is what blocks
    await asyncio.Event().wait()


@registry.task("stops")
def stops(payload: object) -> None:
    """In a thread, where it blocks nobody."""
    time.sleep(600)  # sleeps: this is what blocks


@registry.task("idles")
async def idles(payload: object) -> None:
    await asyncio.Event().wait()


@registry.task("deep")
async def deep(payload: object) -> None:
    await _deeper(20)


async def _deeper(left: int) -> None:
    if left:
        await _deeper(left - 1)
    await asyncio.Event().wait()


@dataclass
class Child:
    """A worker process as its supervisor sees it."""

    pid: int
    page: SlotPage
    box: BlackBox
    text: str = ""

    def wait_blocked(self) -> None:
        """It beats no more."""
        wait_until(lambda: time.monotonic_ns() - self.page.beat_ns > 400_000_000, what="the loop is blocked")

    def dumped(self, *parts: str) -> str:
        """Ask for a dump, and again if the tasks had not begun; what it wrote until all these parts were there."""
        asked_mono = -math.inf

        def told() -> bool:
            nonlocal asked_mono
            if time.monotonic() - asked_mono > 0.5:
                asked_mono = time.monotonic()
                os.kill(self.pid, signal.SIGUSR2)
            return all(part in self._read() for part in parts)

        wait_until(told, what=f"{parts} in what it writes")
        return self.text

    def _read(self) -> str:
        self.text += self.box.read_new()
        return self.text


@contextlib.contextmanager
def working(*tasks: str, consumers: int = 5, at_most_once: bool = False, boxed: bool = True) -> Iterator[Child]:
    """A worker that was given one message for each of these tasks; without a box its standard error is looked at."""
    page, box = Scoreboard(1).page(0), BlackBox()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(box.fileno(), main.STANDARD_ERROR_FD)
            _live(page, box.fileno() if boxed else main.STANDARD_ERROR_FD, tasks, consumers, at_most_once)
        finally:
            os._exit(1)
    try:
        wait_until(lambda: page.beat_ns, what="it lives")
        yield Child(pid, page, box)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        box.close()


def _live(page: SlotPage, fd: int, tasks: tuple[str, ...], consumers: int, at_most_once: bool) -> None:
    def build() -> main.Life:
        broker = MemoryBroker()
        broker.queues["q"].push(*(message(task, None) for task in tasks))
        settings = WorkerSettings(queues=["q"], consumers=consumers, at_most_once=at_most_once)
        worker = Worker(broker, registry, settings, slot=page, rng=Random(1))

        async def close() -> None: ...

        return main.Life(worker=worker, service=None, close=close)

    main.run(build, box_fd=fd, slot=page)


def known(culprit: Culprit | None) -> Culprit:
    assert culprit is not None
    return culprit


@pytest.mark.parametrize(
    ("task", "line"),
    [("loops", "in loops"), ("sleeps", "in sleeps"), ("matches", "in matches"), ("computes", "in computes")],
)
def test_the_culprit_is_named_when_its_handler_blocks_the_loop(task: str, line: str) -> None:
    with working("idles", task) as child:
        child.wait_blocked()
        text = child.dumped("waiting:", f"for {task} id=")
        culprit = known(child.page.culprit)
    assert (culprit.task, culprit.queue, culprit.wid, culprit.token) == (task, "q", "host:1:1", culprit.token)
    assert culprit.token > 0
    assert culprit.activity.startswith("consumer ")
    assert culprit.id in text
    assert 0.3 < culprit.ran_s < 60.0
    stacks, _, tasks = text.partition("asyncio: ")
    assert "Current thread" in stacks
    assert line in stacks
    assert line in tasks.partition("waiting:")[0]
    assert "in idles" in tasks.partition("waiting:")[2]


def test_only_the_stack_is_there_when_c_code_keeps_the_interpreter_to_itself() -> None:
    with working("exhausts") as child:
        child.wait_blocked()
        text = child.dumped("in exhausts")
        assert child.page.culprit is None
    assert "asyncio:" not in text


@pytest.mark.parametrize(("task", "activity"), [("gathers", "a part of it"), ("calls back", "")])
def test_what_a_handler_started_is_held_against_its_message(task: str, activity: str) -> None:
    with working("idles", task) as child:
        child.wait_blocked()
        child.dumped("waiting:", f"for {task} id=")
        culprit = known(child.page.culprit)
    assert (culprit.task, culprit.activity) == (task, activity)


def test_handlers_that_block_one_after_the_other_are_no_hang() -> None:
    """In one turn of the loop, which takes as long as all of them."""
    with working(*["naps"] * 8, consumers=8) as child:
        beats = [child.page.beat_ns]

        def beaten() -> bool:
            if child.page.beat_ns != beats[-1]:
                beats.append(child.page.beat_ns)
            return len(beats) > 6 and child.page.settled >= 8

        wait_until(beaten, what="all of them have run")
    assert max(after - before for before, after in itertools.pairwise(beats)) < 2_000_000_000


def test_a_message_delivered_at_most_once_is_named_without_a_token() -> None:
    with working("sleeps", at_most_once=True) as child:
        child.wait_blocked()
        child.dumped("waiting:")
        culprit = known(child.page.culprit)
    assert (culprit.task, culprit.queue, culprit.wid, culprit.token) == ("sleeps", "q", "", 0)


def test_a_healthy_worker_writes_its_tasks_and_goes_on() -> None:
    with working("idles", "stops", "deep", consumers=40) as child:
        text = child.dumped("waiting:", "in idles", "in stops", "in _deeper", "alike")
        beat_ns = child.page.beat_ns
        wait_until(lambda: child.page.beat_ns > beat_ns, what="it still beats")
        assert child.page.culprit is None  # it has beaten since
    assert "asyncio: " in text


def test_a_worker_without_a_box_writes_to_its_standard_error() -> None:
    with working("idles", boxed=False) as child:
        child.dumped("waiting:", "in idles")
