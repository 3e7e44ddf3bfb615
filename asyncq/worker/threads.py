"""Threads: a pool for `def` handlers, which would block the event loop.

A thread cannot be interrupted, so a cancelled call is waited for: its consumer stays busy and its message stays
in flight until the function returns. Never a retry beside a zombie.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from asyncq.core.task import Attempt, Task


class Threads:
    """The pool. A thread is started when a handler finds no idle one, so there are about as many as `def` handlers ever
    ran at the same time; the number of consumers bounds that, and no handler waits for another's thread.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, task: Task[Any, Any], payload: Any, attempt: Attempt) -> Any:
        """Run a `def` handler to its end and return what it returns or raise what it raises.

        Also when the awaiting consumer is cancelled meanwhile: that is only to be seen in its Running.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(sys.maxsize, thread_name_prefix="asyncq-handler")
        arguments = (payload, attempt) if task.wants_attempt else (payload,)
        call = partial(contextvars.copy_context().run, _call, task.handler, *arguments)
        future = asyncio.get_running_loop().run_in_executor(self._pool, call)
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue
        return future.result()

    def close(self) -> None:
        """Do not wait for functions that still run: the process is about to end."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _call(handler: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return handler(*arguments)
    except StopIteration as error:  # no future can carry it, nobody would ever hear of the end; as coroutines do
        raise RuntimeError("handler raised StopIteration") from error
