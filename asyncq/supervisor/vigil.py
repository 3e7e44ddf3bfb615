"""Care for children in trouble: whoever is silent is asked where it stands, and given up when it stays so.

Owned by the arbiter, which calls `look` in every turn of its loop and `autopsy` at every end. Judges with `watchdog`,
reads the black boxes, tells what they say; which signals end a child is `child`'s affair.
"""

from __future__ import annotations

import contextlib
import math
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from asyncq.core import logs
from asyncq.supervisor import child as life
from asyncq.supervisor.child import State
from asyncq.supervisor.events import ChildDied, ChildHung, Dumped
from asyncq.supervisor.memory_kills import MemoryKills
from asyncq.supervisor.notices import Notices
from asyncq.supervisor.page import Culprit
from asyncq.supervisor.policy import Exit, Verdict
from asyncq.supervisor.slots import ManagedSlot
from asyncq.supervisor.spec import SupervisorSettings
from asyncq.supervisor.watchdog import Attention, Decision, HangLimits, Watchdog

# A dump is a matter of milliseconds; what a stuck process has not written by then comes with its end.
ANSWER_S: Final = 0.3
LAST_LINES: Final = 20
_SIGKILL: Final = -int(signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is known of a child that is dead, besides how it ended.

    Attributes:
        hung: It was put down because its loop hung.
        oom: The kernel killed it for its memory.
        own_hand: A suspect that it ran alone killed it.
        culprit: What its loop was stuck in, if it hung and could say so.
        stack: What it wrote into its black box as it ended.
        last_lines: Of its standard error, if it was on probation.
    """

    hung: bool = False
    oom: bool = False
    own_hand: bool = False
    culprit: Culprit | None = None
    stack: str = ""
    last_lines: tuple[str, ...] = ()

    def told(self, slot: ManagedSlot, pid: int, cause: str, verdict: Verdict, again_in_s: float | None) -> ChildDied:
        """The event; see there."""
        return ChildDied(
            slot.spec.role,
            slot.index,
            pid,
            cause,
            verdict.reason,
            verdict.counted,
            task=self.culprit.task if self.culprit else "",
            message_id=self.culprit.id if self.culprit else "",
            stack=self.stack,
            last_lines=self.last_lines,
            again_in_s=again_in_s,
        )


class _Silence(NamedTuple):
    """How long a child had been silent when it was asked, and its last beat until then."""

    for_s: float
    beat_ns: int


class Vigil:
    """Watches over the children of an arbiter.

    Args:
        slots: Of all children.
        settings: Limits.
        notices: Is told who hangs, and what a dump says.
        feed: Moves a slot's child on.
        oom_kills: How often the kernel has killed for memory in our cgroup so far; None = nobody counts.
        now: Monotonic seconds.

    Attributes:
        attention: Must be told when the loop sleeps and wakes.
    """

    def __init__(
        self,
        slots: Sequence[ManagedSlot],
        settings: SupervisorSettings,
        notices: Notices,
        feed: Callable[[ManagedSlot, life.Event, float], object],
        oom_kills: Callable[[], int | None],
        now: float,
    ) -> None:
        self._slots, self._notices, self._feed = slots, notices, feed
        self.attention = Attention(now)
        self._watchdog = Watchdog(HangLimits(warn_s=settings.warn_s, hang_s=settings.watchdog_s), self.attention)
        self._memory_kills = MemoryKills(oom_kills, now)
        # Who was asked for a dump, when its answer is read, and what was known of the silent: it may beat meanwhile.
        self._asked: dict[ManagedSlot, tuple[float, _Silence | None]] = {}

    @property
    def due_mono(self) -> float:
        """When an answer is to be read."""
        return min((due for due, _ in self._asked.values()), default=math.inf)

    def look(self, now: float) -> None:
        """Judge every child; read the answers that are due; pass on what children on probation say."""
        self._memory_kills.look(now)
        for slot in self._slots:
            beat_ns = slot.page.beat_ns  # read once: it may beat at any moment
            decision = self._watchdog.look(slot.child.pid, slot.state, beat_ns, now)
            slot.page.set_excused(self._watchdog.excuses(slot.child.pid))
            if decision is Decision.WARN:
                self._ask(slot, now, _Silence(self._watchdog.silent_s(beat_ns, now), beat_ns))
            elif decision is Decision.ABORT:
                self._feed(slot, life.Hung(), now)
            if slot.on_probation:
                _pass_on(slot)
        for slot in [slot for slot, (due, _) in self._asked.items() if due <= now]:
            self._answer(slot, now)

    def dump(self, now: float) -> None:
        """Have every child say where it stands."""
        for slot in self._slots:
            if slot.spec.handshake and slot.state in (State.READY, State.DRAINING) and slot not in self._asked:
                self._ask(slot, now, None)

    def autopsy(self, slot: ManagedSlot, pid: int, end: Exit, *, asked: bool) -> Findings:
        """What is known of this end; called once, before the slot's page and boxes are used again."""
        self._asked.pop(slot, None)
        if slot.on_probation:
            _pass_on(slot)
        hung = slot.child.put_down
        self._watchdog.forget(pid)
        return Findings(
            hung=hung and slot.child.was_ready,
            oom=end.code == _SIGKILL and not asked and not hung and self._memory_kills.explains(),
            own_hand=end.code == _SIGKILL and not asked and not hung and slot.page.own_hand,
            culprit=slot.page.culprit if hung else None,
            stack=slot.box.read_new().strip(),
            last_lines=slot.captured.tail(LAST_LINES) if slot.on_probation else (),
        )

    def _ask(self, slot: ManagedSlot, now: float, silence: _Silence | None) -> None:
        self._asked[slot] = (now + ANSWER_S, silence)
        slot.box.read_new()  # what is old is no answer
        slot.send_signal(signal.SIGUSR2)

    def _answer(self, slot: ManagedSlot, now: float) -> None:
        _, silence = self._asked.pop(slot)
        stack = slot.box.read_new().strip()
        if silence is None:
            self._notices.tell(Dumped(slot.spec.role, slot.index, slot.child.pid, stack))
            return
        culprit = slot.page.culprit_at(silence.beat_ns)
        self._notices.tell(
            ChildHung(
                slot.spec.role,
                slot.index,
                slot.child.pid,
                silence.for_s,
                task=culprit.task if culprit else "",
                message_id=culprit.id if culprit else "",
                queue=culprit.queue if culprit else "",
                stack=stack,
            )
        )


def _pass_on(slot: ManagedSlot) -> None:
    """What a child on probation has written to its standard error belongs on ours."""
    text = slot.captured.read_new()
    if text:
        with contextlib.suppress(OSError):  # nobody reads it any more
            for line in text.splitlines(keepends=True):  # each in one piece, as the others write theirs
                if not logs.put_line(line.encode()):
                    break
        slot.captured.keep_small()
