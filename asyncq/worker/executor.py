"""One attempt as a pipeline of named steps: decode, resolve, check, read, call.

Ends in an Outcome, never in an exception. Called by the consumer for every message. Knows nothing of queues' storage,
retries or settlement. A handler that does not suspend costs no turn of the event loop.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from typing import Any

from asyncq.core import clock, codec
from asyncq.core.errors import Discard, MessageDecodeError, PayloadError, Retry, Snooze, TaskControl
from asyncq.core.message import Message
from asyncq.core.outcome import SUCCEEDED, Kind, Outcome
from asyncq.core.task import Attempt, Task
from asyncq.worker import raised
from asyncq.worker.running import Running
from asyncq.worker.threads import Threads


class Executor:
    """Runs attempts.

    Args:
        lookup: Task name to Task, None if unknown (`Registry.lookup()`).
        threads: Where `def` handlers run.
    """

    def __init__(self, lookup: Callable[[str], Task[Any, Any] | None], threads: Threads) -> None:
        self._lookup = lookup
        self._threads = threads

    async def run(self, queue: str, raw: bytes, running: Running) -> Outcome:
        """Run one message and say how it ended.

        Args:
            queue: Told to handlers that ask for their attempt.
            raw: The message's bytes.
            running: This consumer's record; `message` and `task` are left in it for settlement and metrics.
        """
        running.message = running.task = None
        try:
            message = running.message = codec.decode(raw)
        except MessageDecodeError as error:
            return Outcome(kind=Kind.MALFORMED, error=str(error))
        task = running.task = self._lookup(message.name)
        if task is None:
            return Outcome(kind=Kind.UNKNOWN_TASK, error=f"no task named {message.name!r} is registered here")
        if len(message.fields) > 4 and _is_expired(message):
            return Outcome(kind=Kind.EXPIRED, error=f"expired at {message.expires_at}")
        payload = message.payload
        if task.read is not None:
            try:
                payload = task.read(payload)
            except PayloadError as error:
                return Outcome(kind=Kind.REJECTED, error_type="PayloadError", error=raised.one_line(error))
            except Exception as error:  # noqa: BLE001 - fence: a model's own validators are user code
                return _failed(Kind.FAILED, error)
        return await self._call(task, message, payload, queue, running)

    async def _call(
        self, task: Task[Any, Any], message: Message, payload: Any, queue: str, running: Running
    ) -> Outcome:
        """The handler under its time limit; whatever it raises becomes an Outcome."""
        limit_s = message.timeout_s
        if limit_s is None:
            limit_s = task.options.timeout_s
        running.begin(clock.mono_s() + limit_s if limit_s else math.inf)
        try:
            if task.is_async and not task.wants_attempt:
                await task.handler(payload)  # the common case does without one more coroutine
            else:
                await self._invoke(task, payload, _attempt(task, message, queue))
        except asyncio.CancelledError as error:
            if running.ended_by_others():
                raise  # somebody else ends the whole consumer
            return _interrupted(running, error, limit_s)
        except TaskControl as control:
            return _asked(control)
        except (KeyboardInterrupt, GeneratorExit):
            raise  # not the handler's: the process or its event loop ends
        except BaseException as error:  # noqa: BLE001 - fence: user code may raise anything, even sys.exit()
            return _interrupted(running, error, limit_s) if running.cancelled_as else _failed(Kind.FAILED, error)
        finally:
            running.end()
        if running.cancelled_as is Kind.TIMED_OUT:  # it swallowed the cancellation and returned
            return _interrupted(running, None, limit_s)
        return SUCCEEDED  # also when its release was asked for: it finished first, to run it again would be wrong

    async def _invoke(self, task: Task[Any, Any], payload: Any, attempt: Attempt) -> None:
        if task.is_async:
            await task.handler(payload, attempt)
            return
        result = await self._threads.run(task, payload, attempt)
        if inspect.isawaitable(result):  # a wrapper around an `async def` that does not look like one
            await result


def _is_expired(message: Message) -> bool:
    return message.expires_at is not None and message.expires_at <= clock.wall_s()


def _attempt(task: Task[Any, Any], message: Message, queue: str) -> Attempt:
    return Attempt(
        id=message.id,
        name=task.name,
        queue=queue,
        number=message.attempt,
        max_attempts=message.max_attempts or task.options.max_attempts,
    )


def _interrupted(running: Running, error: BaseException | None, limit_s: float) -> Outcome:
    """We cancelled the handler, or it raised CancelledError by itself (then it is an ordinary failure)."""
    if running.cancelled_as is None:
        return _failed(Kind.FAILED, error or asyncio.CancelledError())
    if running.cancelled_as is Kind.RELEASED:
        running.handed_back += 1
        return Outcome(kind=Kind.RELEASED, error="cancelled and handed back")
    text = f"did not finish within {limit_s:g} s"
    return Outcome(
        kind=Kind.TIMED_OUT,
        error_type="TimeoutError",
        error=text,
        traceback=raised.trace(error) if error is not None else "",
        exception=TimeoutError(text),
    )


def _asked(control: TaskControl) -> Outcome:
    why = raised.one_line(control)
    if isinstance(control, Retry):
        return Outcome(kind=Kind.RETRY_ASKED, error_type="Retry", error=why, delay_s=control.delay_s)
    if isinstance(control, Snooze) and control.delay_s is not None:  # else a subclass that never said how long
        return Outcome(kind=Kind.SNOOZED, delay_s=control.delay_s)
    if isinstance(control, Discard):
        return Outcome(kind=Kind.DISCARDED, error_type="Discard", error=why)
    return _failed(Kind.FAILED, control)


def _failed(kind: Kind, error: BaseException) -> Outcome:
    return Outcome(
        kind=kind,
        error_type=raised.type_name(error),
        error=raised.one_line(error),
        traceback=raised.trace(error),
        exception=error,
    )
