"""Running: what one consumer is doing right now, so that the sweep can time it out and a drain can cancel it.

Written by the consumer and the executor, read by `worker.deadlines` and `worker.worker`; all in one event loop.
"""

from __future__ import annotations

import asyncio
import math
from contextvars import ContextVar
from typing import Any, Final

from asyncq.core.message import Message
from asyncq.core.outcome import Kind
from asyncq.core.task import Task
from asyncq.worker.source import Origin


class Running:
    """One consumer's current attempt.

    Attributes:
        consumer: The asyncio task of the consumer; cancelled to interrupt the handler.
        in_handler: True while user code runs; only then may the consumer be cancelled.
        deadline_mono: When the attempt is timed out; infinity when no handler runs or it has no limit.
        handed_back: How many attempts of this consumer ended because they were to be handed back.
        cancelled_as: Why we cancelled the handler: TIMED_OUT or RELEASED; None if we did not.
        message: The decoded message, None if it could not be decoded.
        origin: Where the message came from; as the next two still that of the last one when nothing runs.
        token: Its name there.
        started_at: When it began (perf_counter seconds).
        task: The registered task, None if unknown.
    """

    __slots__ = (
        "cancelled_as",
        "consumer",
        "deadline_mono",
        "handed_back",
        "in_handler",
        "message",
        "origin",
        "started_at",
        "task",
        "token",
    )

    def __init__(self) -> None:
        self.consumer: asyncio.Task[None] | None = None
        self.in_handler = False
        self.handed_back = 0
        self.deadline_mono = math.inf
        self.cancelled_as: Kind | None = None
        self.message: Message | None = None
        self.origin: Origin | None = None
        self.token = 0
        self.started_at = 0.0
        self.task: Task[Any, Any] | None = None

    def begin(self, deadline_mono: float) -> None:
        """User code is about to run."""
        self.deadline_mono = deadline_mono
        self.cancelled_as = None
        self.in_handler = True

    def end(self) -> None:
        """User code returned. A cancellation of ours was meant for it and is used up, whatever came of it."""
        self.in_handler = False
        self.deadline_mono = math.inf
        if self.cancelled_as is not None and self.consumer is not None:
            self.consumer.uncancel()

    def cancel(self, kind: Kind) -> bool:
        """Interrupt the handler, once. False when no handler runs or it was interrupted before."""
        if not self.in_handler or self.cancelled_as is not None or self.consumer is None:
            return False
        self.cancelled_as = kind
        self.deadline_mono = math.inf
        self.consumer.cancel()
        return True

    def ended_by_others(self) -> bool:
        """The whole consumer is being cancelled, not just its handler by us. Only while user code runs."""
        ours = self.cancelled_as is not None
        return self.consumer is not None and self.consumer.cancelling() > ours


# The attempt to which the code that asks belongs: set by each consumer, inherited by whatever tasks its handlers start.
RUNNING: Final[ContextVar[Running | None]] = ContextVar("running", default=None)
