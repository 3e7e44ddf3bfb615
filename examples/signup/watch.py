"""Shows deliveries as they arrive until every event has arrived on every channel.

Called by `__main__` with the sinks' ledger. A rich table on a terminal; elsewhere a plain line when something has
changed, at most one per second. Looks only at the ledger: never at Redis, never at the workers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from examples.signup.ledger import CHANNELS, Ledger

REFRESH_S: Final = 0.25
PLAIN_LINE_EVERY_S: Final = 1.0
QUIET_HINT_S: Final = 10.0
START_A_WORKER: Final = "./run asyncq-supervise --procs auto --per-proc 50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One row: how far one channel is."""

    name: str
    deliveries: int
    arrived: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What there is to show at one moment.

    Attributes:
        expected: How many events were pushed.
        channels: In the order of CHANNELS.
        duplicates: Deliveries of an event that had arrived on that channel before.
        refusals: Deliveries answered with 503 on purpose.
        elapsed_s: Since the first event was pushed.
    """

    expected: int
    channels: tuple[Channel, ...]
    duplicates: int
    refusals: int
    elapsed_s: float

    @property
    def complete(self) -> bool:
        return all(channel.arrived == self.expected for channel in self.channels)

    @property
    def deliveries(self) -> int:
        return sum(channel.deliveries for channel in self.channels)


def snapshot(ledger: Ledger, expected: Collection[str], elapsed_s: float) -> Snapshot:
    """How far the events `expected` are."""
    channels = (
        Channel(
            name=name,
            deliveries=ledger.deliveries(name),
            arrived=len(expected) - len(ledger.missing(name, expected)),
        )
        for name in CHANNELS
    )
    return Snapshot(
        expected=len(expected),
        channels=tuple(channels),
        duplicates=ledger.duplicates,
        refusals=ledger.refusals,
        elapsed_s=elapsed_s,
    )


def progress_of(now: Snapshot) -> str:
    """`email 310/500  analytics 400/500  crm 380/500  refused 41`"""
    rows = "  ".join(f"{channel.name} {channel.arrived:,}/{now.expected:,}" for channel in now.channels)
    return f"{rows}  refused {now.refusals:,}"


def plain_line(now: Snapshot) -> str:
    """How far it is, with the time before it."""
    return f"{now.elapsed_s:6.1f} s  {progress_of(now)}"


def table(now: Snapshot) -> Table:
    """The live view."""
    view = Table(title=f"Deliveries after {now.elapsed_s:.1f} s", title_justify="left")
    view.add_column("channel")
    for heading in ("events arrived", "of", "deliveries", "per second"):
        view.add_column(heading, justify="right")
    for channel in now.channels:
        rate = channel.deliveries / now.elapsed_s if now.elapsed_s else 0.0
        view.add_row(
            channel.name,
            f"{channel.arrived:,}",
            f"{now.expected:,}",
            f"{channel.deliveries:,}",
            f"{rate:,.0f}",
        )
    view.caption = f"{now.refusals:,} refused with 503 on purpose, to be retried"
    return view


def summary(now: Snapshot) -> str:
    """The last sentence when everything arrived."""
    rate = now.deliveries / now.elapsed_s if now.elapsed_s else 0.0
    return (
        f"All {now.expected:,} events arrived on all {len(now.channels)} channels: "
        f"{now.deliveries:,} deliveries in {now.elapsed_s:.1f} s ({rate:,.0f} per second), "
        f"{now.duplicates:,} of them duplicates; {now.refusals:,} refusals were retried."
    )


def shortfall(ledger: Ledger, expected: Collection[str]) -> list[str]:
    """One line per channel that lacks events, with the first few of them."""
    lines = []
    for name in CHANNELS:
        missing = sorted(ledger.missing(name, expected))
        if missing:
            few = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            lines.append(f"{name}: {len(missing):,} of {len(expected):,} events missing: {few}")
    return lines


def hint(now: Snapshot, quiet_s: float) -> str:
    """What to say after nothing has arrived for a while."""
    waiting = "No delivery has arrived yet" if not now.deliveries else "No delivery arrived"
    return f"{waiting} for {quiet_s:.0f} s. If no worker runs, start one in another terminal: {START_A_WORKER}"


class Quiet:
    """Notices, once per silence, that nothing has arrived for `after_s` seconds."""

    def __init__(self, now_mono: float, after_s: float = QUIET_HINT_S) -> None:
        self._after_s = after_s
        self._deliveries = 0
        self._since_mono = now_mono
        self._said = False

    def noticed(self, deliveries: int, now_mono: float) -> bool:
        """True the first time that the number of deliveries has stood still for too long."""
        if deliveries != self._deliveries:
            self._deliveries, self._since_mono, self._said = deliveries, now_mono, False
            return False
        if self._said or now_mono - self._since_mono < self._after_s:
            return False
        self._said = True
        return True


async def watch(
    ledger: Ledger, expected: Collection[str], *, console: Console, started_mono: float, timeout_s: float
) -> Snapshot:
    """Show what arrives until all of it has or the time is over.

    Args:
        expected: Event ids that must arrive on each channel.
        started_mono: When the first event was pushed, monotonic seconds; `timeout_s` counts from here.

    Returns: The last snapshot; look at its `complete`.
    """
    view = Live(console=console, auto_refresh=False) if console.is_terminal else None
    quiet = Quiet(time.monotonic())
    said, next_line_mono = "", time.monotonic()
    shown: AbstractContextManager[object] = view if view is not None else nullcontext()
    with shown:
        while True:
            mono = time.monotonic()
            now = snapshot(ledger, expected, mono - started_mono)
            over = now.complete or now.elapsed_s >= timeout_s
            if quiet.noticed(now.deliveries, mono):
                console.print(hint(now, QUIET_HINT_S), soft_wrap=True, highlight=False)
            if view is not None:
                view.update(table(now), refresh=True)
            elif over or (mono >= next_line_mono and progress_of(now) != said):
                said, next_line_mono = progress_of(now), mono + PLAIN_LINE_EVERY_S
                console.print(plain_line(now), soft_wrap=True, highlight=False)
            if over:
                return now
            await asyncio.sleep(REFRESH_S)
