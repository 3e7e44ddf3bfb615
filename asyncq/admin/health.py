"""Whether the fleet lives, is ready, has started: three pure decisions over one view of it.

The roof fills FleetView from the supervisor's shared memory at each request; `app` asks the questions.
Never asks Redis: whether Redis answers is what the processes saw, and liveness does not depend on it at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asyncq.supervisor.scoreboard import State


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """One worker's slot.

    Attributes:
        slot: Its position in the supervisor's table; also the number of its region in the metrics segment.
        index: Its position among the workers, as in `worker[0]` of the logs.
        pid: 0 while no process is in it (back-off, fatal).
        state: Where the child stands in its life; never EMPTY.
        state_age_s: Seconds in this state; starting and backing off, between which it may go to and fro, are one.
        beat_age_s: Seconds since its event loop last beat; None when it has not beaten yet.
        excused: It does not beat, and the watchdog waits: it gets no CPU, or is held in a debugger.
    """

    slot: int
    index: int
    pid: int
    state: State
    state_age_s: float
    beat_age_s: float | None
    excused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """What the supervisor's shared memory says at one moment.

    Attributes:
        workers: Occupied slots.
        wanted: How many workers there should be.
        arbiter_beat_age_s: Seconds since the supervisor's own loop last beat.
        draining: Whether the whole fleet is on its way out.
        quiet: Whether it was told to take nothing for the time being.
        started: Whether every worker and every helper has been ready at once.
        braked: Whether workers keep dying, so that only one at a time is started.
        redis_age_s: Seconds since Redis last answered any process of the fleet; None when it has not yet.
        restarts: Ended worker processes by reason, since the supervisor started.
    """

    workers: tuple[WorkerView, ...]
    wanted: int
    arbiter_beat_age_s: float
    draining: bool
    quiet: bool
    started: bool
    braked: bool
    redis_age_s: float | None
    restarts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLimits:
    """How old signs of life may be, in seconds.

    Attributes:
        arbiter_beat_s: Of the supervisor; default 10.
        worker_beat_s: Of a worker's loop; default 20, the watchdog's.
        boot_s: How long a worker may be starting or backing off and count as on its way; default 60.
        redis_s: Since Redis answered any process; default 10.
    """

    arbiter_beat_s: float = 10.0
    worker_beat_s: float = 20.0
    boot_s: float = 60.0
    redis_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer, and why in one line."""

    ok: bool
    reason: str


def beats(worker: WorkerView, limits: HealthLimits) -> bool:
    """Whether this worker's loop beat a moment ago."""
    return bool(worker.pid) and worker.beat_age_s is not None and worker.beat_age_s <= limits.worker_beat_s


def is_up(worker: WorkerView, limits: HealthLimits) -> bool:
    """Whether this worker takes messages: ready, and its loop beats."""
    return worker.state is State.READY and beats(worker, limits)


def _is_coming(worker: WorkerView, limits: HealthLimits) -> bool:
    """Whether it may be given more time: it boots, backs off, or is ready and about to beat for the first time."""
    if worker.state is State.READY:
        return worker.beat_age_s is None and worker.state_age_s <= limits.worker_beat_s
    return worker.state in (State.STARTING, State.BACKOFF) and worker.state_age_s <= limits.boot_s


def live(fleet: FleetView, limits: HealthLimits) -> Verdict:
    """Whether a restart of everything would not help: the supervisor beats and some worker works or boots."""
    if fleet.arbiter_beat_age_s > limits.arbiter_beat_s:
        return Verdict(
            False, f"the supervisor last beat {fleet.arbiter_beat_age_s:.0f} s ago (limit {limits.arbiter_beat_s:g} s)"
        )
    if fleet.draining:
        return Verdict(True, "draining")
    beating = sum(beats(worker, limits) for worker in fleet.workers)
    if beating:
        return Verdict(True, f"{beating} of {fleet.wanted} workers beat")
    excused = sum(worker.excused for worker in fleet.workers)
    if excused:
        return Verdict(True, f"{excused} of {fleet.wanted} workers are given no CPU, or held in a debugger")
    coming = sum(_is_coming(worker, limits) for worker in fleet.workers)
    if coming:
        return Verdict(True, f"{coming} of {fleet.wanted} workers are starting")
    return Verdict(
        False, f"no worker beat in the last {limits.worker_beat_s:g} s and none is starting within {limits.boot_s:g} s"
    )


def ready(fleet: FleetView, limits: HealthLimits) -> Verdict:
    """Whether messages are being taken: enough workers up, Redis seen, neither draining, quiet nor braked."""
    if fleet.draining:
        return Verdict(False, "draining: no new messages are taken")
    if fleet.quiet:
        return Verdict(False, "quiet: no messages are taken until SIGCONT")
    if fleet.braked:
        return Verdict(False, "crash loop suspected: one worker at a time is tried")
    up = sum(is_up(worker, limits) for worker in fleet.workers)
    needed = max(1, (fleet.wanted + 1) // 2)
    if up < needed:
        return Verdict(False, f"{up} of {fleet.wanted} workers are ready, at least {needed} are needed")
    if fleet.redis_age_s is None:
        return Verdict(False, "Redis has not answered yet")
    if fleet.redis_age_s > limits.redis_s:
        return Verdict(False, f"Redis last answered {fleet.redis_age_s:.0f} s ago (limit {limits.redis_s:g} s)")
    return Verdict(True, f"{up} of {fleet.wanted} workers are ready")


def started(fleet: FleetView) -> Verdict:
    """Whether every worker and helper has been ready at once; once true, true for ever."""
    if fleet.started:
        return Verdict(True, "the first full set of workers was ready")
    now_ready = sum(worker.state is State.READY for worker in fleet.workers)
    if now_ready == fleet.wanted:
        return Verdict(False, f"{now_ready} of {fleet.wanted} workers are ready, but a helper process is not")
    return Verdict(False, f"{now_ready} of {fleet.wanted} workers are ready for the first time")
