"""A worker process's life: event loop, signals, run, exit code.

Called in the child of a supervisor and by `asyncq worker`. The only module that imports uvloop.

    SIGTERM   drain: finish what runs, then exit
    SIGQUIT   cancel: hand back what runs, then exit
    SIGINT    first as SIGTERM, then as SIGQUIT (only without a supervisor, which keeps Ctrl-C from its children)
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import uvloop

from asyncq.core.errors import EXIT_HANDED_BACK, EXIT_OK
from asyncq.worker.worker import Worker

log = logging.getLogger("asyncq.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Only for a process without a supervisor, which would otherwise keep them.

    Attributes:
        drain_s: Seconds of drain before running handlers are cancelled.
        cancel_s: Seconds after the cancellation before the process ends whatever runs.
    """

    drain_s: float = 25.0
    cancel_s: float = 3.0


def run(
    build: Callable[[], Worker],
    *,
    on_ready: Callable[[], None] = lambda: None,
    beside: Callable[[], Awaitable[None]] | None = None,
    parent_fd: int | None = None,
    deadlines: Deadlines | None = None,
) -> int:
    """Run one worker until a signal ends it.

    Args:
        build: Makes the worker; called inside the event loop.
        on_ready: Called when the consumers are about to start. Does not need Redis.
        beside: A service that lives as long as the worker (maintenance in a process without a supervisor).
        parent_fd: A channel whose end of file means that the supervisor is gone.
        deadlines: See Deadlines.

    Returns: an exit code: 0 drained, 75 when work was handed back.
    """
    return uvloop.run(_life(build, on_ready, beside, parent_fd, deadlines))


async def _life(
    build: Callable[[], Worker],
    on_ready: Callable[[], None],
    beside: Callable[[], Awaitable[None]] | None,
    parent_fd: int | None,
    deadlines: Deadlines | None,
) -> int:
    worker = build()
    _listen(worker, parent_fd, deadlines)
    service = asyncio.ensure_future(beside()) if beside is not None else None
    on_ready()
    try:
        await worker.run()
    finally:
        if service is not None:
            service.cancel()
            await asyncio.gather(service, return_exceptions=True)
    return EXIT_HANDED_BACK if worker.handed_back or not worker.complete else EXIT_OK


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
