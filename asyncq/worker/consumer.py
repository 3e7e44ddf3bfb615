"""One of the K loops: get a message, run it, hand over what became of it, again.

Started K times by `worker.worker`. The loop does not go back to the event loop between messages as long as handlers
do not suspend and the turn's budget lasts: short tasks then cost no more than their own work.
"""

from __future__ import annotations

import asyncio
import logging
import time
from random import Random

from asyncq.core import clock
from asyncq.core.doors import Observer
from asyncq.core.options import TaskOptions
from asyncq.core.outcome import SUCCEEDED, Kind, Outcome
from asyncq.core.settlement import RELEASE, DeadLetter, Reschedule, Settlement, SettlementRules, settle_for
from asyncq.worker.executor import Executor
from asyncq.worker.running import RUNNING, Running
from asyncq.worker.source import Delivery, Source
from asyncq.worker.turns import Turns

log = logging.getLogger("asyncq.worker")

_DEFAULT_OPTIONS = TaskOptions()
_NOT_RUN = frozenset({Kind.MALFORMED, Kind.UNKNOWN_TASK, Kind.EXPIRED, Kind.REJECTED})


class Consumer:
    """Runs one message at a time.

    Args:
        index: 0..K-1.
        source: Messages come from here, settlements go there.
        executor: Runs one attempt.
        observer: Is told of starts and ends.
        rules: See SettlementRules.
        turns: Shared by all consumers of the process.
        rng: Draws the jitter of retries.
    """

    def __init__(
        self,
        index: int,
        source: Source,
        executor: Executor,
        *,
        observer: Observer,
        rules: SettlementRules,
        turns: Turns,
        rng: Random,
    ) -> None:
        self.running = Running()
        self._index, self._source, self._executor = index, source, executor
        self._observer, self._rules, self._turns, self._rng = observer, rules, turns, rng

    async def run(self) -> None:
        """Until cancelled, also when a handler swallows that cancellation. What runs then is handed back."""
        consumer = self.running.consumer = asyncio.current_task()
        assert consumer is not None
        RUNNING.set(self.running)
        source, turns = self._source, self._turns
        ready, one, cancelling = source.ready, self._one, consumer.cancelling
        while not cancelling():
            delivery = ready.popleft() if ready else await source.next(self._index)
            ended_at = await one(delivery)
            if ended_at > turns.ends_at:
                await turns.give_way()

    async def _one(self, delivery: Delivery) -> float:
        """Run one message and hand over its settlement. Returns when it ended (perf_counter seconds)."""
        origin, token, raw = delivery
        queue, observer, running = origin.queue, self._observer, self.running
        running.origin, running.token = origin, token
        observer.started(queue)
        started_at = running.started_at = time.perf_counter()
        try:
            outcome = await self._executor.run(queue, raw, running)
        except (asyncio.CancelledError, KeyboardInterrupt):  # this consumer ends, and its handler did not
            self._source.settle(origin, token, raw, RELEASE)
            raise
        ended_at = time.perf_counter()
        if outcome is SUCCEEDED:
            self._source.complete(origin, token)
            name = running.task.name  # type: ignore[union-attr] # a success has a task
            observer.finished(queue, name, "succeeded", ended_at - started_at, "")
            return ended_at
        settlement = self._decide(outcome, raw)
        self._source.settle(origin, token, raw, settlement)
        self._tell(queue, outcome, settlement, ended_at - started_at)
        return ended_at

    def _decide(self, outcome: Outcome, raw: bytes) -> Settlement:
        message, task = self.running.message, self.running.task
        options = task.options if task is not None else _DEFAULT_OPTIONS
        try:
            return settle_for(outcome, raw, message, options, self._rules, now_s=clock.wall_s(), rng=self._rng)
        except Exception as error:  # fence: no message may end its consumer, and every other one with it
            log.error("message cannot be settled", exc_info=True)
            return DeadLetter("malformed", {"error": f"{type(error).__name__}: {error}"})

    def _tell(self, queue: str, outcome: Outcome, settlement: Settlement, duration_s: float) -> None:
        """Metrics and log of everything that is not a success."""
        message = self.running.message
        name = message.name if message is not None else ""
        fields: dict[str, object] = {"queue": queue, "task": name}
        if message is not None:
            fields |= {"id": message.id, "attempt": message.attempt}
        if outcome.error:
            fields["error"] = outcome.error
        if outcome.kind in _NOT_RUN:
            self._observer.not_run(queue)
        else:
            self._observer.finished(queue, name, _outcome_label(outcome, settlement), duration_s, outcome.error_type)
        if isinstance(settlement, DeadLetter):
            self._observer.dead_lettered(queue, name, settlement.reason)
            log.warning("dead letter", extra=fields | {"reason": settlement.reason})
        elif isinstance(settlement, Reschedule):
            event = "task will be retried" if settlement.counted else "task waits"
            log.info(event, extra=fields | {"delay_s": round(settlement.delay_s, 3)})
        else:
            log.info("task handed back", extra=fields)


def _outcome_label(outcome: Outcome, settlement: Settlement) -> str:
    """The `outcome` label of asyncq_tasks_processed_total."""
    if outcome.kind in (Kind.FAILED, Kind.RETRY_ASKED):
        return "retried" if isinstance(settlement, Reschedule) else "failed"
    return "cancelled" if outcome.kind is Kind.RELEASED else outcome.kind.value
