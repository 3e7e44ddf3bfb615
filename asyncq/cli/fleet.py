"""The supervisor's shared memory as the admin room wants to see it. Pure."""

from __future__ import annotations

from typing import Final

from asyncq.admin.health import FleetView, State, WorkerView
from asyncq.supervisor import scoreboard
from asyncq.supervisor.scoreboard import SlotSnapshot, Snapshot, SupervisorState

_STATES: Final[dict[scoreboard.State, State]] = {
    scoreboard.State.STARTING: "starting",
    scoreboard.State.READY: "ready",
    scoreboard.State.DRAINING: "draining",
    scoreboard.State.BACKOFF: "backoff",
    scoreboard.State.FATAL: "fatal",
}


def fleet_view(snapshot: Snapshot) -> FleetView:
    """All workers and the supervisor's own state."""
    supervisor = snapshot.supervisor
    return FleetView(
        workers=tuple(_worker_view(slot) for slot in snapshot.slots if slot.role == "worker" and slot.state in _STATES),
        wanted=supervisor.wanted,
        arbiter_beat_age_s=supervisor.beat_age_s if supervisor.beat_age_s is not None else 0.0,
        draining=supervisor.state in (SupervisorState.DRAINING, SupervisorState.QUIET),
        started=supervisor.complete,
        restarts=supervisor.restarts,
    )


def queues_in(snapshot: Snapshot) -> list[str]:
    """The queues that any worker consumes, each once."""
    return list(dict.fromkeys(queue for slot in snapshot.slots for queue in slot.queues))


def _worker_view(slot: SlotSnapshot) -> WorkerView:
    return WorkerView(
        index=slot.index,
        pid=slot.pid,
        state=_STATES[slot.state],
        state_age_s=slot.age_s or 0.0,
        beat_age_s=slot.beat_age_s,
        redis_age_s=slot.redis_age_s,
    )
