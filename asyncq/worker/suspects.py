"""Suspects: the feeder's dealings with messages that are run alone. `worker.solitude` decides, this knows the time.

Asked by the feeder before it takes, and told by it of what came. Keeps the timer of the next decision; takes nothing
itself.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import sys
from collections.abc import Callable
from random import Random
from typing import Any, Final

from asyncq.core import clock
from asyncq.core.doors import Slot, Taken
from asyncq.worker.solitude import Solitude

log = logging.getLogger("asyncq.worker")

# Audit events of Python that say who is sent which signal, before it is sent.
_KILLS: Final = ("os.kill", "os.killpg")


class Suspects:
    """One per feeder.

    Args:
        rng: See Solitude.
        slot: Is told that a suspect runs here alone.
        on_time: Called when a busy process begins to make room for a suspect, or gives it up: after an exchange of each
            lane the next such moment is known.

    Attributes:
        solitude: Its `running` and `suspected` are read for every message and every exchange.
    """

    def __init__(self, rng: Random, slot: Slot, on_time: Callable[[], None]) -> None:
        self.solitude = Solitude(rng)
        self._slot, self._on_time = slot, on_time
        self._timer: asyncio.TimerHandle | None = None
        self._witness = False

    def may_run(self, queue: str, outstanding: int) -> bool:
        """Whether a suspect of that queue is to be taken, and nothing else."""
        return self.solitude.suspected and self.solitude.turn(queue, outstanding, clock.mono_s())

    def holds(self) -> bool:
        """Whether nothing else may be taken now."""
        solitude = self.solitude
        return (solitude.running or solitude.suspected) and solitude.holds(clock.mono_s())

    def saw(self, queue: str, taken: Taken, alone: bool, room: int) -> None:
        """What an exchange brought that asked for a suspect alone, or for so many others.

        Args:
            queue: Of the exchange.
            taken: What it brought.
            alone: It asked for a suspect.
            room: It asked for so many others.
        """
        solitude, now_mono = self.solitude, clock.mono_s()
        solitude.heard(queue, taken.suspects, now_mono)
        if alone and taken.raws:
            solitude.began(now_mono)
            self._slot.set_alone(True)
            self._call_witness()
            log.info("a suspect runs alone", extra={"queue": queue, "waiting": taken.suspects})
        elif alone:
            solitude.refused(now_mono)
        elif room:
            solitude.looked(len(taken.raws))
        self.forget_time()
        if solitude.next_mono < math.inf:
            pause_s = max(solitude.next_mono - now_mono, 0.0)
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._on_time)

    def ended(self) -> None:
        """What ran alone has ended, or was dropped."""
        self.solitude.ended(clock.mono_s())
        self._slot.set_alone(False)

    def _call_witness(self) -> None:
        """See to it that a suspect which kills its own process is told from somebody who kills processes.

        An audit hook can never be removed and costs every audited call about 0.1 us: only where a suspect has run.
        (A bound method would cost five times as much.)
        """
        if self._witness:
            return
        self._witness = True

        def witness(event: str, arguments: tuple[Any, ...]) -> None:
            if event in _KILLS and self.solitude.running:
                target, number = arguments
                if number == signal.SIGKILL and target in (0, os.getpid()):  # 0 = its process group, which it leads
                    self._slot.set_own_hand()

        sys.addaudithook(witness)

    def forget_time(self) -> None:
        """`on_time` is not called any more, before the next time that something was seen."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
