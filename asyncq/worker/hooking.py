"""Hooking: calls the hooks of an app in the event loop of its worker: before the first message, after the last, beside.

Called by `worker.main` and `asyncq.simple`; `core.hooks` says what each hook is promised. A start hook that fails ends
the process; whatever a stop or crash hook does, the process ends as it would have ended without it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from asyncq.core.hooks import Crash, Hook, Hooks

log = logging.getLogger("asyncq.worker")

STOP_S: Final = 5.0


class Interrupted(BaseException):
    """A signal that ends the process came while a `def` hook kept the event loop from hearing of it."""


async def start(
    hooks: Hooks, is_wanted: Callable[[], bool] = lambda: True, signals: Sequence[signal.Signals] = ()
) -> bool:
    """Call the start hooks one after the other, in this asyncio task, which may be cancelled.

    Args:
        hooks: Of the app.
        is_wanted: Asked after each: whether to go on.
        signals: Handled by the event loop; a `def` hook is interrupted when one comes.

    Returns: whether all of them have returned, so that the stop hooks are to be called.

    Raises:
        HookError: one of them failed.
    """
    for hook in hooks.worker_start:
        try:
            with _interruptible(signals):
                result = hook.function()
            if inspect.isawaitable(result):
                await result
        except Interrupted:
            return False
        except asyncio.CancelledError as error:
            if _are_we_cancelled():
                raise
            raise hook.failure(error) from error
        except (Exception, SystemExit) as error:  # the fence around user code
            raise hook.failure(error) from error
        if not is_wanted():
            return False
    return True


async def stop(hooks: Hooks) -> None:
    """Call the stop hooks, in this asyncio task; what they raise is logged, and each is cancelled after 5 s."""
    for hook in hooks.worker_stop:
        await _fenced(hook, STOP_S)


async def tell(hooks: Hooks, crash: Crash) -> None:
    """Call the crash hooks one after the other; what they raise is logged."""
    for hook in hooks.crash:
        await _fenced(hook, None, crash)


async def _fenced(hook: Hook, limit_s: float | None, *arguments: Any) -> None:
    try:
        async with asyncio.timeout(limit_s) as limit:
            result = hook.function(*arguments)
            if inspect.isawaitable(result):
                await result
    except asyncio.CancelledError as error:
        if _are_we_cancelled():
            raise
        _failed(hook, error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - fence: user code must not keep the process from its end
        _failed(hook, TimeoutError(f"did not end within {limit_s:g} s") if limit.expired() else error)


def _failed(hook: Hook, error: BaseException) -> None:
    log.error("hook failed", extra={"hook": hook.name, "error": str(hook.failure(error))}, exc_info=error)


@contextmanager
def _interruptible(signals: Sequence[signal.Signals]) -> Iterator[None]:
    """The loop hears of every signal all the same, as soon as it turns: Python writes each into its wake-up pipe."""
    inside = False

    def interrupt(number: int, frame: object) -> None:
        if inside:
            raise Interrupted

    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        inside = True
        yield
    finally:
        inside = False
        for number, handler in before.items():
            signal.signal(number, handler)
            signal.siginterrupt(number, False)  # as the loop had set it


def _are_we_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
