"""How the supervisor judges a death and how fast it starts again: pure functions and values.

Called by the arbiter. Never reads a clock, never draws from a global generator: `now` and `rng` are given.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from asyncq.core.errors import EXIT_APP, EXIT_HANDED_BACK, EXIT_OK, EXIT_PORT_BUSY, EXIT_USAGE
from asyncq.supervisor.child import Child, Exited
from asyncq.supervisor.spec import SupervisorSettings

# Exit codes that starting again cannot cure, as long as no worker has ever been ready.
HOPELESS_EXITS: Final = frozenset({EXIT_USAGE, EXIT_APP, EXIT_PORT_BUSY})

# How a child ends that obeyed a SIGTERM or SIGQUIT: drained, handed back, or no handler installed.
_OBEYED: Final = frozenset({EXIT_OK, EXIT_HANDED_BACK, -signal.SIGTERM})


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: `code` from 0, or minus the number of the signal that killed it."""

    code: int

    def __str__(self) -> str:
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            return f"killed by {signal.Signals(-self.code).name}"
        except ValueError:  # real-time signals have no name
            return f"killed by signal {-self.code}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a death means: its reason, and whether it counts for back-off and brake."""

    reason: str
    counted: bool


def judge(
    end: Exit,
    *,
    asked: bool,
    was_ready: bool,
    settled: int,
    alone: bool = False,
    hung: bool = False,
    oom: bool = False,
) -> Verdict:
    """Judge one death.

    Args:
        end: How it ended.
        asked: We had asked it to leave.
        was_ready: It had said ready.
        settled: How many messages it had settled in its life.
        alone: It was running a suspect alone: then the message is judged by this death, not the worker.
        hung: We have put it down because its loop hung.
        oom: The kernel has killed it for its memory.
    """
    useless = settled == 0 and not alone
    if asked:
        return Verdict("asked", False)
    if not was_ready:
        return Verdict("boot", True)
    if hung or oom:
        return Verdict("hang" if hung else "oom", useless)
    if end.code in _OBEYED:
        # Somebody else told it to leave and it did: not a failure of the child.
        return Verdict("external", useless)
    return Verdict("killed" if end.code < 0 else "crash", useless)


def cause(end: Exit, *, hung: bool, oom: bool, own_hand: bool = False) -> str:
    """How it ended, and by whom, as far as that is known."""
    why = " (its event loop hung)" if hung else " (out of memory)" if oom else " (by its own hand)" if own_hand else ""
    return f"{end}{why}"


def blame(end: Exit, *, asked: bool, hung: bool = False, oom: bool = False, own_hand: bool = False) -> str:
    """What this end says against the messages that were in flight: a name of `core.blame.Blame`.

    Args:
        end: How it ended. After an orderly end nothing is in flight any more, so that a code of 0 with something in
            flight is that of a handler that ended the process.
        asked: We had asked it to leave, and may have killed it for being late.
        hung: We have put it down: by itself it would never have ended. One that SIGABRT could not end had been stopped
            by somebody, or waited for a disk: as little evidence as a kill.
        oom: What it ran took all the memory there was.
        own_hand: What it ran sent it the SIGKILL.
    """
    if hung:
        return "killed" if end.code == -signal.SIGKILL else "crashed"
    if (oom or own_hand) and not asked:
        return "crashed"
    if end.code == -signal.SIGKILL:
        return "nobody" if asked else "killed"
    if end.code in (EXIT_HANDED_BACK, -signal.SIGTERM, -signal.SIGQUIT):
        return "nobody" if asked else "lost"
    return "crashed"


def exited(
    gone: Child,
    end: Exit,
    verdict: Verdict,
    now: float,
    settings: SupervisorSettings,
    rng: Random,
    *,
    hopeful: bool,
) -> Exited:
    """What a death means for the slot's next start.

    Args:
        gone: The child as it was.
        hopeful: A worker has been ready before: then no exit code is hopeless.
    """
    ready_for_s = now - gone.since_mono if gone.was_ready else 0.0
    failures = failures_after(gone.failures, verdict, ready_for_s, settings)
    fatal = end.code in HOPELESS_EXITS and not hopeful
    return Exited(failures, delay_s(failures, settings, rng), fatal)


def failures_after(before: int, verdict: Verdict, ready_for_s: float, settings: SupervisorSettings) -> int:
    """Counted deaths in a row once this one is added; a long healthy life or useful work starts at 0 again."""
    earlier = 0 if ready_for_s >= settings.healthy_s else before
    return earlier + 1 if verdict.counted else 0


def delay_s(failures: int, settings: SupervisorSettings, rng: Random) -> float:
    """Seconds before the next start.

    The first counted death in a row is replaced at once, the n-th waits d = base * 2**(n-2) up to the cap,
    drawn from [d/2, d].
    """
    if failures <= 1:
        return 0.0
    longest = min(settings.backoff_cap_s, settings.backoff_base_s * 2.0 ** min(failures - 2, 60))
    return rng.uniform(longest / 2, longest)


def redis_given_up(last_seen_mono: float, now: float, settings: SupervisorSettings) -> bool:
    """Redis has answered nobody for so long that somebody else must decide."""
    return bool(settings.redis_give_up_s) and now - last_seen_mono >= settings.redis_give_up_s


@dataclass(frozen=True, slots=True)
class Window:
    """Moments of the last `length_s` seconds."""

    length_s: float
    moments: tuple[float, ...] = ()

    def add(self, now: float) -> Window:
        """With `now`, without what is too old."""
        return replace(self, moments=(*self._recent(now), now))

    def count(self, now: float) -> int:
        """How many moments lie in the window that ends now."""
        return len(self._recent(now))

    def _recent(self, now: float) -> tuple[float, ...]:
        return tuple([moment for moment in self.moments if moment > now - self.length_s])


@dataclass(frozen=True, slots=True)
class Brake:
    """Stops a whole set of workers from dying in a circle.

    Attributes:
        limit: More counted deaths than this within the window engage it.
        deaths: The counted deaths.
        since_mono: When it engaged; None while released.
    """

    limit: int
    deaths: Window
    since_mono: float | None = None

    @classmethod
    def for_workers(cls, count: int, settings: SupervisorSettings) -> Brake:
        """Released, with the limit max(brake_least, 2 x count)."""
        return cls(max(settings.brake_least, 2 * count), Window(settings.brake_window_s))

    def died(self, now: float) -> Brake:
        """After one more counted death."""
        deaths = self.deaths.add(now)
        since = self.since_mono
        if since is None and deaths.count(now) > self.limit:
            since = now
        return Brake(self.limit, deaths, since)

    def later(self, by_s: float) -> Brake:
        """As if it had engaged so much later."""
        return self if self.since_mono is None else replace(self, since_mono=self.since_mono + by_s)

    def released(self) -> Brake:
        """A probe held: forget the deaths."""
        return Brake(self.limit, Window(self.deaths.length_s))

    def gives_up(self, now: float, exit_after_s: float) -> bool:
        """Engaged for so long that somebody else must decide."""
        return self.since_mono is not None and now - self.since_mono >= exit_after_s


def probe_holds(ready_since: float, settled: int, engaged_since: float, now: float, ok_s: float) -> bool:
    """Whether a READY worker, started under the brake, proves that workers can live again."""
    return ready_since > engaged_since and (settled > 0 or now - ready_since >= ok_s)
