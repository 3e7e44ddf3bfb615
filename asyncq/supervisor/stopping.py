"""The order of leaving: stage by stage, and what may hold a stage up.

Called by the arbiter, which carries the signals out. The order, and why: workers first, so that nothing new is taken;
then the keeper, once it has confirmed that it handed back what dead workers held; then admin, so that the drain can
be watched to its end; Redis last, because everybody before it speaks to it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from asyncq.supervisor.child import Level, State
from asyncq.supervisor.reaps import KeeperLink
from asyncq.supervisor.slots import ManagedSlot

_log = logging.getLogger("asyncq.supervisor")

# The keeper confirms in milliseconds where Redis answers: five quick SIGTERMs need not leave work to a lease's end.
MOMENT_S = 0.5


class Stopping:
    """How far the tree has come in leaving.

    Attributes:
        level: NONE until somebody asks.
        reaps_unconfirmed: The keeper had to go before it confirmed everything.
    """

    def __init__(self, slots: Sequence[ManagedSlot], link: KeeperLink, reap_timeout_s: float) -> None:
        self.level = Level.NONE
        self.reaps_unconfirmed = False
        self._slots = slots
        self._link = link
        self._reap_timeout_s = reap_timeout_s
        self._reaps_due_mono = math.inf
        self._stages = sorted({slot.spec.stop_stage for slot in slots})

    @property
    def finished(self) -> bool:
        """Everybody is gone."""
        return not self._stages

    def ask(self, level: Level) -> None:
        """Be at least this urgent; KILL once more leaves the keeper only a moment for its confirmation."""
        if level is Level.KILL and self.level is Level.KILL:
            self._reap_timeout_s = min(self._reap_timeout_s, MOMENT_S)
        self.level = max(level, self.level)

    def members(self) -> list[ManagedSlot]:
        """The slots of the stage that is leaving now."""
        return [slot for slot in self._slots if self._stages and slot.spec.stop_stage == self._stages[0]]

    def next_stage(self, now: float) -> bool:
        """Go on to the next stage if this one is over. True if there are new members to be asked to leave."""
        if any(slot.state is not State.EMPTY for slot in self.members()) or self._keeper_is_needed(now):
            return False
        self._stages.pop(0)
        return bool(self._stages)

    def _keeper_is_needed(self, now: float) -> bool:
        keeper = self._link.keeper
        if keeper is None or keeper.spec.stop_stage not in self._stages[1:] or not len(self._link.ledger):
            return False
        self._reaps_due_mono = min(self._reaps_due_mono, now + self._reap_timeout_s)
        if now < self._reaps_due_mono:
            return True
        if not self.reaps_unconfirmed:
            # Their leases run out by themselves; then any other supervisor hands them back.
            _log.error("reaps not confirmed", extra={"pending": self._link.ledger.pending()})
        self.reaps_unconfirmed = True
        return False
