"""Threads: a bounded pool for `def` handlers, which would block the event loop.

A thread cannot be interrupted, so a cancelled call is waited for: its consumer stays busy and its message stays
in flight until the function returns. Never a retry beside a zombie.
"""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from asyncq.core.task import Attempt, Task


class Threads:
    """The pool; threads are started when the first `def` handler runs.

    Args:
        limit: Most threads at the same time; one per consumer means that no `def` handler waits for another.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, task: Task, payload: Any, attempt: Attempt) -> Any:
        """Run a `def` handler to its end, even when the awaiting consumer is cancelled meanwhile.

        Raises:
            asyncio.CancelledError: after the function returned, if the consumer was cancelled meanwhile.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._limit, thread_name_prefix="asyncq-handler")
        arguments = (payload, attempt) if task.wants_attempt else (payload,)
        call = partial(contextvars.copy_context().run, task.handler, *arguments)
        future = asyncio.get_running_loop().run_in_executor(self._pool, call)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            future.exception()  # looked at, so that asyncio does not report it as forgotten
            raise cancelled
        return future.result()

    def close(self) -> None:
        """Do not wait for functions that still run: the process is about to end."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
