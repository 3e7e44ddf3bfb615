"""A worker process's life: event loop, signals, run, exit code.

Called in the child of a supervisor and by `asyncq worker`. The only module of this room that imports uvloop.

    SIGTERM   drain: finish what runs, then exit
    SIGQUIT   cancel: hand back what runs, then exit
    SIGINT    first as SIGTERM, then as SIGQUIT (only without a supervisor, which keeps Ctrl-C from its children)
    SIGUSR2   write down what runs, see `worker.dump`
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import uvloop

from asyncq.core.doors import Slot
from asyncq.core.errors import EXIT_HANDED_BACK, EXIT_OK
from asyncq.core.nulls import NullSlot
from asyncq.worker import dump
from asyncq.worker.worker import Worker

log = logging.getLogger("asyncq.worker")

STANDARD_ERROR_FD: Final = 2


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
    service: asyncio.Future[None] | None
    close: Callable[[], Awaitable[None]]


def run(
    build: Callable[[], Life],
    *,
    on_ready: Callable[[], None] = lambda: None,
    parent_fd: int | None = None,
    deadlines: Deadlines | None = None,
    box_fd: int = STANDARD_ERROR_FD,
    slot: Slot | None = None,
) -> int:
    """Run one worker until a signal ends it.

    Args:
        build: Called inside the event loop.
        on_ready: Called when the consumers are about to start. Does not need Redis.
        parent_fd: A channel whose end of file means that the supervisor is gone.
        deadlines: See Deadlines.
        box_fd: Where dumps go, see `worker.dump`.
        slot: Is told what runs when a dump is asked for.

    Returns: an exit code: 0 drained, 75 when work was handed back.
    """

    async def live() -> int:
        dump.install(box_fd, slot or NullSlot())
        return await _live(build, on_ready, parent_fd, deadlines)

    return uvloop.run(live())


async def _live(
    build: Callable[[], Life], on_ready: Callable[[], None], parent_fd: int | None, deadlines: Deadlines | None
) -> int:
    life = build()
    _listen(life.worker, parent_fd, deadlines)
    on_ready()
    try:
        await life.worker.run()
    finally:
        if life.service is not None:
            life.service.cancel()
            await asyncio.gather(life.service, return_exceptions=True)
        await life.close()
    return EXIT_HANDED_BACK if life.worker.handed_back or not life.worker.complete else EXIT_OK


def _listen(worker: Worker, parent_fd: int | None, deadlines: Deadlines | None) -> None:
    loop = asyncio.get_running_loop()
    asked = [0]

    def drain() -> None:
        asked[0] += 1
        if asked[0] > 1:
            cancel()
            return
        log.info("draining")
        worker.drain()
        if deadlines is not None:
            loop.call_later(deadlines.drain_s, cancel)

    def cancel() -> None:
        worker.cancel()
        if deadlines is not None:
            loop.call_later(deadlines.cancel_s, os._exit, EXIT_HANDED_BACK)

    def parent_gone() -> None:
        assert parent_fd is not None
        loop.remove_reader(parent_fd)
        log.error("the supervisor is gone, leaving")
        cancel()

    loop.add_signal_handler(signal.SIGTERM, drain)
    loop.add_signal_handler(signal.SIGINT, drain)
    loop.add_signal_handler(signal.SIGQUIT, cancel)
    if parent_fd is not None:
        loop.add_reader(parent_fd, parent_gone)
