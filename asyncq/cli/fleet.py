"""The supervisor's shared memory as the admin room wants to see it. Pure."""

from __future__ import annotations

from asyncq.admin.health import FleetView, HealthLimits, WorkerView
from asyncq.core.settings import Settings
from asyncq.supervisor.scoreboard import SlotSnapshot, Snapshot, State, SupervisorState


def health_limits(settings: Settings) -> HealthLimits:
    """The same for /livez and for the service manager's watchdog: two verdicts would be one too many."""
    return HealthLimits(worker_beat_s=settings.watchdog_s, boot_s=settings.boot_timeout_s)


def fleet_view(snapshot: Snapshot) -> FleetView:
    """All workers and the supervisor's own state."""
    supervisor = snapshot.supervisor
    redis_ages = [slot.redis_age_s for slot in snapshot.slots if slot.pid and slot.redis_age_s is not None]
    return FleetView(
        workers=tuple(
            _worker_view(slot) for slot in snapshot.slots if slot.role == "worker" and slot.state is not State.EMPTY
        ),
        wanted=supervisor.wanted,
        arbiter_beat_age_s=supervisor.beat_age_s if supervisor.beat_age_s is not None else 0.0,
        draining=supervisor.state is SupervisorState.DRAINING,
        quiet=supervisor.state is SupervisorState.QUIET,
        started=supervisor.complete,
        braked=supervisor.state is SupervisorState.DEGRADED,
        redis_age_s=min(redis_ages, default=None),
        restarts=supervisor.restarts,
    )


def queues_in(snapshot: Snapshot) -> list[str]:
    """The queues that any worker consumes, each once."""
    return list(dict.fromkeys(queue for slot in snapshot.slots for queue in slot.queues))


def _worker_view(slot: SlotSnapshot) -> WorkerView:
    return WorkerView(
        slot=slot.index,
        index=slot.role_index,
        pid=slot.pid,
        state=slot.state,
        state_age_s=slot.state_age_s,
        beat_age_s=slot.beat_age_s,
        excused=slot.excused,
    )
