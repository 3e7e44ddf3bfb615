"""What the fleet is doing, counted, and in one line for people who look at it from outside.

The arbiter has its slots counted in each turn; `notices` tells systemd, which shows it in `systemctl status`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asyncq.supervisor.child import Child, Level, State
from asyncq.supervisor.slots import ManagedSlot
from asyncq.supervisor.spec import SupervisorSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The workers at one moment.

    Attributes:
        wanted: How many there should be.
        ready: How many are.
        present: How many are processes, ready or not.
        tasks: Messages held by them.
        deaths: Counted deaths in the brake's window, while the brake is engaged; else 0.
        quiet: Whether they were told to take nothing.
        left_s: Until the last of them is gone at the latest; None while nobody drains.
        rest_s: What everybody else needs after that, at the latest.
    """

    wanted: int
    ready: int
    present: int
    tasks: int
    deaths: int = 0
    quiet: bool = False
    left_s: float | None = None
    rest_s: float = 0.0


def census(
    slots: Sequence[ManagedSlot],
    settings: SupervisorSettings,
    now: float,
    *,
    leaving: bool,
    deaths: int = 0,
    quiet: bool = False,
) -> Counts:
    """Count the workers among these slots; `leaving`, `deaths` and `quiet` are the arbiter's own."""
    workers = [slot for slot in slots if slot.is_worker]
    present = [slot for slot in workers if slot.child.pid]
    their_stages = {slot.spec.stop_stage for slot in workers}
    later_stages = {slot.spec.stop_stage for slot in slots if slot.state is not State.EMPTY} - their_stages
    return Counts(
        wanted=len(workers),
        ready=sum(slot.state is State.READY for slot in workers),
        present=len(present),
        tasks=sum(slot.page.in_flight for slot in present),
        deaths=deaths,
        quiet=quiet,
        left_s=max((_left_s(slot.child, settings, now) for slot in present), default=0.0) if leaving else None,
        rest_s=settings.reap_timeout_s + settings.helper_timeout_s * len(later_stages),
    )


def _left_s(child: Child, settings: SupervisorSettings, now: float) -> float:
    """Until SIGKILL, if it does not leave before."""
    if child.state is not State.DRAINING or child.level is Level.KILL:
        return 0.0
    cancels = child.level is Level.DRAIN and not child.put_down
    return max(0.0, child.due_mono - now) + (settings.cancel_timeout_s if cancels else 0.0)


def sentence(counts: Counts) -> str:
    """For example "4 of 4 workers ready"; changes with the counts and, in a drain, with the seconds."""
    up = f"{counts.ready} of {counts.wanted} workers ready"
    if counts.left_s is not None:
        if not counts.present:
            return "draining: the workers are gone"
        left = f"{max(0.0, counts.left_s):.0f} s left"
        return f"draining: {_many(counts.present, 'worker')}, {_many(counts.tasks, 'task')}, {left}"
    if counts.deaths:
        return f"crash loop suspected: {_many(counts.deaths, 'death')}, one worker at a time is tried; {up}"
    if counts.quiet:
        return f"quiet: nothing is taken, {_many(counts.tasks, 'task')} running; {up}"
    return up


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
