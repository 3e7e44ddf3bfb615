"""A worker process's life: event loop, signals, run, exit code.

Called in the child of a supervisor and by `asyncq worker`. The only module of this room that imports uvloop.

    SIGTERM   drain: finish what runs, then exit
    SIGQUIT   cancel: hand back what runs, then exit
    SIGTSTP   quiet: take nothing more, go on with what runs, stay
    SIGCONT   resume: take again
    SIGINT    first as SIGTERM, then as SIGQUIT (only without a supervisor, which keeps Ctrl-C from its children)
    SIGUSR2   write down what runs, see `worker.dump`

In order: start hooks, ready, work, drain, stop hooks. A signal that comes while start hooks run cancels them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from asyncq.core.doors import Slot
from asyncq.core.errors import EXIT_HANDED_BACK, EXIT_OK
from asyncq.core.hooks import Crash, Hooks
from asyncq.core.nulls import NullSlot
from asyncq.worker import dump, hooking
from asyncq.worker.worker import Worker

log = logging.getLogger("asyncq.worker")

STANDARD_ERROR_FD: Final = 2
PULSE_S: Final = 0.5
ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
CUT_OFF_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Only for a process without a supervisor, which would otherwise keep them.

    Attributes:
        drain_s: Seconds of drain before running handlers are cancelled.
        cancel_s: Seconds after the cancellation before the process ends whatever runs.
    """

    drain_s: float = 25.0
    cancel_s: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What lives in the event loop.

    Attributes:
        worker: Runs until it is drained.
        service: Ends with the worker: maintenance in a process without a supervisor.
        close: Awaited last: the connections.
    """

    worker: Worker
    service: asyncio.Future[Any] | None
    close: Callable[[], Awaitable[None]]


def run(
    build: Callable[[], Life],
    *,
    on_ready: Callable[[], None] = lambda: None,
    parent_fd: int | None = None,
    deadlines: Deadlines | None = None,
    box_fd: int = STANDARD_ERROR_FD,
    slot: Slot | None = None,
    hooks: Hooks | None = None,
    crash: Crash | None = None,
    quiet: bool = False,
) -> int:
    """Run one worker until a signal ends it.

    Args:
        build: Called inside the event loop.
        on_ready: Called when the start hooks have returned and the consumers are about to start. Does not need Redis.
        parent_fd: A channel whose end of file means that the supervisor is gone.
        deadlines: See Deadlines.
        box_fd: Where dumps go, see `worker.dump`.
        slot: Is told what runs when a dump is asked for.
        hooks: Of the app; its start, stop and crash hooks are called.
        crash: Of the process whose place this one takes: the crash hooks hear of it.
        quiet: Take nothing before SIGCONT.

    Returns: an exit code: 0 drained, 75 when work was handed back.

    Raises:
        HookError: a start hook failed; nothing was taken.
    """

    def make() -> tuple[Life, _Signals]:
        page = slot or NullSlot()
        dump.install(box_fd, page)
        _pulse(asyncio.get_running_loop(), page)
        life = build()
        signals = _Signals(life.worker, deadlines)
        signals.listen(parent_fd)
        if quiet:
            signals.quiet()
        return life, signals

    return uvloop.run(_live(make, on_ready, hooks or Hooks(), crash))


async def _live(
    make: Callable[[], tuple[Life, _Signals]], on_ready: Callable[[], None], hooks: Hooks, crash: Crash | None
) -> int:
    life, signals = make()
    try:
        if not await _start(hooks, signals):
            return EXIT_OK
        on_ready()
        try:
            await _work(life.worker, hooks, crash)
        finally:
            await hooking.stop(hooks)
    finally:
        if life.service is not None:
            life.service.cancel()
            await asyncio.gather(life.service, return_exceptions=True)
        await life.close()
    return EXIT_HANDED_BACK if life.worker.handed_back or not life.worker.complete else EXIT_OK


def _pulse(loop: asyncio.AbstractEventLoop, slot: Slot) -> None:
    """Beat as long as the loop lives: the worker's own ticker does so only while there is something to run."""
    slot.beat()
    loop.call_later(PULSE_S, _pulse, loop, slot)


async def _start(hooks: Hooks, signals: _Signals) -> bool:
    """False when a signal came first; what hooks then make of their cancellation is of no interest any more."""
    signals.starting = asyncio.current_task()
    try:
        return await hooking.start(hooks, lambda: not signals.came, ENDING)
    except Exception as error:
        if not signals.came:
            raise
        log.info("hook interrupted", extra={"error": str(error)})
        return False
    except asyncio.CancelledError:
        if not signals.came:
            raise
        return False
    finally:
        signals.starting = None


async def _work(worker: Worker, hooks: Hooks, crash: Crash | None) -> None:
    """Until drained. The crash hooks run beside it, and no longer."""
    if crash is None:
        await worker.run()
        return
    telling = asyncio.create_task(hooking.tell(hooks, crash), name="crash hooks")
    try:
        await worker.run()
    finally:
        telling.cancel()
        await asyncio.wait([telling], timeout=CUT_OFF_S)


class _Signals:
    """What signals, and the end of the supervisor, do to the worker.

    Attributes:
        came: One came that ends the process.
        starting: The asyncio task to be cancelled then: start hooks run in it.
    """

    def __init__(self, worker: Worker, deadlines: Deadlines | None) -> None:
        self._worker, self._deadlines = worker, deadlines
        self._loop = asyncio.get_running_loop()
        self.came = False
        self.starting: asyncio.Task[int] | None = None

    def listen(self, parent_fd: int | None) -> None:
        """From now on."""
        self._loop.add_signal_handler(signal.SIGTERM, self._drain)
        self._loop.add_signal_handler(signal.SIGINT, self._drain)
        self._loop.add_signal_handler(signal.SIGQUIT, self._cancel)
        self._loop.add_signal_handler(signal.SIGTSTP, self.quiet)
        self._loop.add_signal_handler(signal.SIGCONT, self._resume)
        if parent_fd is not None:
            self._loop.add_reader(parent_fd, self._parent_gone, parent_fd)

    def quiet(self) -> None:
        """As by SIGTSTP."""
        if self._worker.quiet():
            log.info("quiet: takes nothing until SIGCONT")

    def _resume(self) -> None:
        if self._worker.resume():
            log.info("takes again")

    def _drain(self) -> None:
        if self.came:
            self._cancel()
            return
        log.info("draining")
        self._worker.drain()
        self._end()
        if self._deadlines is not None:
            self._loop.call_later(self._deadlines.drain_s, self._cancel)

    def _cancel(self) -> None:
        self._worker.cancel()
        self._end()
        if self._deadlines is not None:
            self._loop.call_later(self._deadlines.cancel_s, os._exit, EXIT_HANDED_BACK)

    def _end(self) -> None:
        self.came = True
        if self.starting is not None:
            self.starting.cancel()

    def _parent_gone(self, parent_fd: int) -> None:
        self._loop.remove_reader(parent_fd)
        log.error("the supervisor is gone, leaving")
        self._cancel()
