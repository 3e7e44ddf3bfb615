"""How a slot gets its process: forked here or by the zygote, at once or later, or refused.

Owned by the arbiter, which says when. Never decides whether a slot may be started and never looks at ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from random import Random

from asyncq.supervisor import child as life
from asyncq.supervisor import policy
from asyncq.supervisor.newborn import Order
from asyncq.supervisor.slots import ManagedSlot
from asyncq.supervisor.spawn import Spawner
from asyncq.supervisor.spec import SupervisorSettings
from asyncq.supervisor.watch import Watch
from asyncq.supervisor.zygote_link import ZygoteLink

_log = logging.getLogger("asyncq.supervisor")


class Births:
    """Makes processes for slots.

    Args:
        slots: In the order of their pages.
        spawner: For children that no zygote forks.
        watch: Hears of every process that is there.
        settings: For the wait after a refusal.
        rng: Draws its jitter.
        feed: Moves a slot's child on.
        on_end: Called for a child that has ended before its pid was known.
        on_ready: Called for a child that is ready as soon as it is there.

    Attributes:
        zygote: The link to the zygote, None when there is none.
    """

    def __init__(
        self,
        slots: Sequence[ManagedSlot],
        spawner: Spawner,
        watch: Watch,
        settings: SupervisorSettings,
        rng: Random,
        *,
        feed: Callable[[ManagedSlot, life.Event, float], object],
        on_end: Callable[[ManagedSlot, policy.Exit], object],
        on_ready: Callable[[ManagedSlot], object],
    ) -> None:
        self._slots, self._spawner, self._watch = slots, spawner, watch
        self._settings, self._rng = settings, rng
        self._feed, self._on_end, self._on_ready = feed, on_end, on_ready
        zygote = next((slot for slot in slots if slot.spec.is_zygote), None)
        self.zygote = (
            None if zygote is None else ZygoteLink(zygote, self._on_forked, self._on_refused, self._on_orphaned)
        )

    def can_fork(self, slot: ManagedSlot) -> bool:
        """Whoever forks for this slot is there."""
        return self.zygote is None or not slot.spec.from_zygote or self.zygote.ready

    def expecting(self) -> bool:
        """A child may be there whose pid is not known yet."""
        return self.zygote is not None and self.zygote.busy

    def spawn(self, slot: ManagedSlot, now: float, *, quiet: bool, on_probation: bool) -> None:
        """Make a process for this slot, or have it made.

        Args:
            quiet: It is not to take messages.
            on_probation: Its standard error is kept until it has shown that it can live.
        """
        slot.begin(quiet=quiet, on_probation=on_probation)
        order = Order(
            slot.spec,
            slot.index,
            slot.generation,
            slot.page,
            box_fd=slot.box.fileno(),
            captured_fd=slot.captured.fileno() if on_probation else -1,
            quiet=quiet,
            crash=slot.crash,
        )
        spawner: Spawner = self.zygote if self.zygote is not None and slot.spec.from_zygote else self._spawner
        try:
            pid, slot.channel = spawner.spawn(order)
        except OSError as error:
            self._refused(slot, str(error), now)
            return
        self._watch.listen(slot)
        if pid:
            self._spawned(slot, pid, now)

    def _spawned(self, slot: ManagedSlot, pid: int, now: float) -> None:
        end = self._watch.add(slot, pid)
        self._feed(slot, life.Spawned(pid), now)
        if end is not None:
            self._on_end(slot, end)
        elif not slot.spec.handshake:
            self._on_ready(slot)

    def _refused(self, slot: ManagedSlot, reason: str, now: float) -> None:
        failures = slot.child.failures + 1
        delay_s = policy.delay_s(failures + 1, self._settings, self._rng)
        self._feed(slot, life.SpawnFailed(failures, delay_s), now)
        fields = {"role": slot.spec.role, "index": slot.index, "error": reason, "again_in_s": delay_s}
        _log.error("fork refused", extra=fields)

    def _on_forked(self, number: int, pid: int) -> None:
        """The zygote has made a child; it waits until we say that we know it."""
        slot = self._slots[number]
        slot.send({"type": "go"})
        self._spawned(slot, pid, time.monotonic())

    def _on_refused(self, number: int, reason: str) -> None:
        slot = self._slots[number]
        self._watch.hang_up(slot)
        self._refused(slot, reason, time.monotonic())

    def _on_orphaned(self, number: int) -> None:
        """No fault of its own: it waits for the next zygote, which has a back-off, and no longer than for that."""
        slot = self._slots[number]
        self._watch.hang_up(slot)
        self._feed(slot, life.SpawnFailed(slot.child.failures, 0.0), time.monotonic())
