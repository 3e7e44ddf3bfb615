"""How the supervisor's own life comes out: why it gives up, in whose words, and with which exit code.

Told by the arbiter what happened; never stops anybody and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from asyncq.core.errors import EXIT_CRASH_LOOP, EXIT_HANDED_BACK, EXIT_OK, EXIT_UNAVAILABLE
from asyncq.supervisor.child import Child
from asyncq.supervisor.events import GaveUp
from asyncq.supervisor.policy import Exit
from asyncq.supervisor.slots import ManagedSlot


class Result:
    """What `run` will return, as far as it is known."""

    def __init__(self) -> None:
        self._gave_up = EXIT_OK
        self._work_left_behind = False

    def exit_code(self, *, reaps_unconfirmed: bool) -> int:
        """0 drained, 75 work was left to others, else why it was given up."""
        left_behind = self._work_left_behind or reaps_unconfirmed
        return self._gave_up or (EXIT_HANDED_BACK if left_behind else EXIT_OK)

    def stopped(self, slot: ManagedSlot, gone: Child, end: Exit) -> None:
        """A child that was asked to leave has left. A worker that was late or out of order has left work to others."""
        if slot.is_worker and gone.was_ready and (gone.overdue or end.code):
            self._work_left_behind = True

    def first_boot_failed(self, slot: ManagedSlot, end: Exit) -> GaveUp | None:
        """All workers start at once, so all of them fail; the first one's sentence speaks for them."""
        who = f"{slot.spec.role}[{slot.index}]"
        sentence = slot.last_words or f"{who} ended with {end} before a worker was ready"
        return self._give_up(end.code, (sentence,), sentence)

    def crash_loop(self, workers: Sequence[ManagedSlot]) -> GaveUp | None:
        """Every probe has failed for too long."""
        words = tuple(dict.fromkeys(worker.last_words for worker in workers if worker.last_words))
        said = "; ".join(words) or "they said nothing; see their output above"
        sentence = f"crash loop: workers keep dying before they settle anything. Last words: {said}"
        last = max(workers, key=lambda worker: worker.died_mono)
        return self._give_up(EXIT_CRASH_LOOP, words, sentence, last.last_lines)

    def redis_away(self, for_s: float) -> GaveUp | None:
        """Redis has answered nobody for as long as it was to be waited for."""
        sentence = f"Redis has not answered for {for_s:g} s (--redis-give-up); see the log for the error"
        return self._give_up(EXIT_UNAVAILABLE, (), sentence)

    def _give_up(
        self, exit_code: int, last_words: tuple[str, ...], sentence: str, last_lines: tuple[str, ...] = ()
    ) -> GaveUp | None:
        """None when it was given up already: the first reason holds."""
        if self._gave_up:
            return None
        self._gave_up = exit_code
        return GaveUp(exit_code, last_words, sentence, last_lines)
