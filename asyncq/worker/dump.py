"""What this process is doing, written down when somebody asks with SIGUSR2, above all while its loop does not turn.

Called once by `worker.main`. First the stacks of all threads, written by C code that needs no interpreter; then, as
soon as Python code runs in the main thread, the asyncio tasks, and into the slot page what ran: the culprit, if it is
a hang. Costs nothing until it is asked. Takes no locks, logs nothing, never raises: it runs in the middle of anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import time
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, Final

from asyncq.core.doors import Slot
from asyncq.core.logs import printable
from asyncq.worker.running import RUNNING, Running

MAX_TASKS: Final = 50
MAX_BYTES: Final = 64 * 1024
_MORE: Final = b"and more\n"
_MAX_FRAMES: Final = 30
_MAX_NAMES: Final = 8
# Together, and with the longest queue and incarnation, they fit into the slot page however they are written in JSON.
_ACTIVITY_CHARS, _TASK_CHARS, _ID_CHARS = 40, 120, 64

# How a suspended coroutine, generator or asynchronous generator says where it is and what it waits for.
_SUSPENDED: Final = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


def install(fd: int, slot: Slot) -> None:
    """Answer SIGUSR2 with a dump from now on, a fatal signal with the stacks. In the main thread, inside the loop.

    Args:
        fd: Where to: the black box of the slot, or standard error. Must stay open.
        slot: Is told what runs.

    Code in C that keeps the interpreter for itself and asks for no signals gets no further than its stack.
    """
    faulthandler.enable(file=fd, all_threads=True)
    dump = _Dump(fd, slot, asyncio.get_running_loop())
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})  # between two handlers it would be deadly
    try:
        faulthandler.unregister(signal.SIGUSR2)
        signal.signal(signal.SIGUSR2, dump.write)
        faulthandler.register(signal.SIGUSR2, file=fd, all_threads=True, chain=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Dump:
    def __init__(self, fd: int, slot: Slot, loop: asyncio.AbstractEventLoop) -> None:
        self._fd, self._slot, self._loop = fd, slot, loop
        self._busy = False

    def write(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signal: runs between any two instructions of the main thread."""
        if self._busy:
            return
        self._busy = True
        # Whatever is wrong here must not be raised in the middle of a handler of the user's.
        with contextlib.suppress(Exception):
            try:
                self._tell(frame)
            finally:
                self._busy = False

    def _tell(self, frame: FrameType | None) -> None:
        current = asyncio.current_task(self._loop)
        # Also the consumer's who started whatever runs: tasks and callbacks inherit the context of their maker.
        running = RUNNING.get()
        with contextlib.suppress(Exception):  # the rest is worth as much
            self._name_culprit(current, running)
        os.write(self._fd, b"".join(_bounded(self._lines(current, running, frame))))

    def _name_culprit(self, current: asyncio.Task[Any] | None, running: Running | None) -> None:
        activity = _name(current)[:_ACTIVITY_CHARS]
        if running is None or running.origin is None:
            self._slot.set_culprit(activity=activity, task="", id_="", queue="", wid="", token=0, ran_s=0.0)
            return
        task, id_ = _message(running)
        self._slot.set_culprit(
            activity=activity,
            task=task[:_TASK_CHARS],
            id_=id_[:_ID_CHARS],
            queue=running.origin.queue,
            wid=running.origin.wid,
            token=running.token,
            ran_s=_ran_s(running),
        )

    def _lines(
        self, current: asyncio.Task[Any] | None, running: Running | None, frame: FrameType | None
    ) -> Iterator[str]:
        tasks = asyncio.all_tasks(self._loop)
        yield f"asyncio: {len(tasks)} tasks"
        yield f"running: {_name(current) or 'no task'}"
        if running is not None and running.origin is not None:
            task, id_ = _message(running)
            queue = running.origin.queue
            yield f"  for {task or 'a message'} id={id_} queue={queue} since {_ran_s(running):.1f} s"
        yield from _interrupted(frame)
        alike: dict[tuple[str, ...], list[str]] = {}
        for other in tasks - {current}:
            alike.setdefault(tuple(_suspended(other)), []).append(_name(other))
        for frames, names in alike.items():
            more = f", ... ({len(names)} alike)" if len(names) > _MAX_NAMES else ""
            yield f"waiting: {', '.join(sorted(names)[:_MAX_NAMES])}{more}"
            yield from frames


def _bounded(lines: Iterable[str]) -> Iterator[bytes]:
    """At most MAX_TASKS different stacks and MAX_BYTES, with a word about what is missing."""
    heads = size = 0
    for line in lines:
        raw = printable(line).encode("utf-8", "backslashreplace") + b"\n"
        heads += not line.startswith(" ")
        size += len(raw)
        if heads > MAX_TASKS + 2 or size > MAX_BYTES - len(_MORE):
            yield _MORE
            return
        yield raw


def _name(task: asyncio.Task[Any] | None) -> str:
    return task.get_name() if task is not None else ""


def _message(running: Running) -> tuple[str, str]:
    """Task and id of the message that a consumer runs, as far as it was decoded."""
    message = running.message
    return (message.name, message.id) if message is not None else ("", "")


def _ran_s(running: Running) -> float:
    return round(time.perf_counter() - running.started_at, 3)


def _interrupted(frame: FrameType | None) -> Iterator[str]:
    """Where the main thread is, the innermost first, as the stacks above are."""
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return
        yield _place(frame)
        frame = frame.f_back


def _suspended(task: asyncio.Task[Any]) -> list[str]:
    """Where a task waits, the innermost first."""
    places: list[str] = []
    waits: Any = task.get_coro()
    while waits is not None and len(places) < _MAX_FRAMES:
        frame, waits = next(
            ((getattr(waits, at), getattr(waits, then)) for at, then in _SUSPENDED if hasattr(waits, at)), (None, None)
        )
        if frame is not None:
            places.append(_place(frame))
    return places[::-1]


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_qualname}'
