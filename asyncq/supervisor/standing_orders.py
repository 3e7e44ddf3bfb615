"""Orders that hold for every child, also for one that cannot hear them yet: be quiet, open the log anew.

Owned by the arbiter, which says when something is ordered and when a child has become ready. Decides nothing.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from typing import Final

from asyncq.core import logs
from asyncq.supervisor.child import State
from asyncq.supervisor.slots import ManagedSlot

_log = logging.getLogger("asyncq.supervisor")

# Before it is ready a child ignores these signals: it has no handlers yet.
_HEARING: Final = (State.READY, State.DRAINING)


class StandingOrders:
    """What has been ordered, and who has not been told.

    Attributes:
        quiet: Workers take no messages.
    """

    def __init__(self, slots: Sequence[ManagedSlot]) -> None:
        self._slots = slots
        self.quiet = False

    def be_quiet(self, quiet: bool) -> None:
        """Have all workers stop taking, or take again."""
        self.quiet = quiet
        for slot in self._slots:
            self._hush(slot)

    def reopen_log(self) -> None:
        """The log's file was moved away: go on in a new one, and have the children do so."""
        logs.reopen()
        for slot in self._slots:
            slot.old_log = slot.spec.handshake
            self._reopen(slot)
        _log.info("log reopened")

    def catch_up(self, slot: ManagedSlot) -> None:
        """A child is ready: tell it what was ordered after it was forked."""
        self._hush(slot)
        self._reopen(slot)

    def _hush(self, slot: ManagedSlot) -> None:
        if slot.is_worker and slot.state is State.READY and slot.quiet is not self.quiet:
            slot.quiet = self.quiet
            slot.send_signal(signal.SIGTSTP if self.quiet else signal.SIGCONT)

    def _reopen(self, slot: ManagedSlot) -> None:
        if slot.old_log and slot.state in _HEARING:
            slot.old_log = False
            slot.send_signal(signal.SIGUSR1)
