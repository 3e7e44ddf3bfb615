"""Whether a slot may be started again now: the pace of all restarts, and the brake over the workers.

Called by the arbiter with the present time; holds the only memory that `policy` needs between two calls. Never starts
or stops anything itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from asyncq.supervisor import policy
from asyncq.supervisor.child import State
from asyncq.supervisor.events import Degraded
from asyncq.supervisor.slots import ManagedSlot
from asyncq.supervisor.spec import SupervisorSettings


class Change(Enum):
    """What looking at the brake has shown."""

    NONE = "none"
    RELEASED = "released"
    CRASH_LOOP = "crash loop"


class RestartGuard:
    """Pace for all slots, brake for the workers among them."""

    def __init__(self, slots: Sequence[ManagedSlot], settings: SupervisorSettings) -> None:
        self._settings = settings
        self._workers = [slot for slot in slots if slot.is_worker]
        self._pace = policy.Window(1.0)
        self._brake = policy.Brake.for_workers(len(self._workers), settings)

    @property
    def engaged(self) -> bool:
        """Only one probe at a time may start."""
        return self._brake.since_mono is not None

    def deaths(self, now: float) -> int:
        """Counted deaths in the window."""
        return self._brake.deaths.count(now)

    def degraded(self, now: float) -> Degraded:
        """What is to be told of an engaged brake."""
        settings = self._settings
        return Degraded(self.deaths(now), settings.brake_window_s, self._brake.limit, settings.crash_loop_exit_s)

    def may_start(self, slot: ManagedSlot, now: float) -> bool:
        """First starts always; restarts at a bounded pace, workers under the brake one at a time."""
        if slot.generation == 0:
            return True
        if self._pace.count(now) >= self._settings.respawns_per_s:
            return False
        return not (slot.is_worker and self.engaged and self._probing())

    def started(self, slot: ManagedSlot, now: float) -> None:
        """A slot is being started; called before its generation is counted."""
        if slot.generation:
            self._pace = self._pace.add(now)

    def died(self, verdict: policy.Verdict, now: float) -> bool:
        """A worker died, or the zygote, without which there are no workers. True if that has engaged the brake."""
        before = self.engaged
        if verdict.counted:
            self._brake = self._brake.died(now)
        return self.engaged and not before

    def overslept(self, gap_s: float) -> None:
        """We did not run for so long, and neither did any probe."""
        self._brake = self._brake.later(gap_s)

    def look(self, now: float) -> Change:
        """Release the brake when a probe holds; say so when probing has failed for too long."""
        since = self._brake.since_mono
        if since is None:
            return Change.NONE
        if not self.deaths(now) and all(worker.state is State.READY for worker in self._workers):
            self._brake = self._brake.released()
            return Change.RELEASED
        ready = [worker for worker in self._workers if worker.state is State.READY]
        ok_s = self._settings.probe_ok_s
        if any(policy.probe_holds(w.child.since_mono, w.page.settled, since, now, ok_s) for w in ready):
            self._brake = self._brake.released()
            return Change.RELEASED
        # Workers that live are no crash loop, and a probe on its way is heard out (its boot time-out bounds that).
        too_long = self._brake.gives_up(now, self._settings.crash_loop_exit_s)
        return Change.CRASH_LOOP if too_long and not ready and not self._probing() else Change.NONE

    def _probing(self) -> bool:
        """A worker that was started under the brake is still being watched."""
        since = self._brake.since_mono or 0.0
        return any(
            worker.state is State.STARTING or (worker.state is State.READY and worker.child.since_mono > since)
            for worker in self._workers
        )
