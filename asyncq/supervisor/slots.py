"""One slot as the arbiter holds it: the spec, the page, the child's state, and what belongs to its process.

Carries out signals; forking and deciding are done elsewhere (`spawn`, `child`, `policy`).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Final

from asyncq.core.errors import ConfigurationError
from asyncq.supervisor.blackbox import BlackBox
from asyncq.supervisor.channel import Channel
from asyncq.supervisor.child import Action, Child, Event, Limits, State, step
from asyncq.supervisor.events import ChildDied
from asyncq.supervisor.page import SlotPage
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings

# Deaths that somebody may want to hear of; `asked` and `external` are none.
_CRASHES: Final = ("crash", "killed", "boot", "hang", "oom")
# It travels with the order for the next child.
_MOST_STACK_CHARS: Final = 16_000
_MOST_LINE_CHARS: Final = 500


def limits_of(spec: ChildSpec, settings: SupervisorSettings) -> Limits:
    """Workers finish what runs and can cancel it; every other role has one short time to leave."""
    return Limits(
        boot_timeout_s=spec.boot_timeout_s,
        drain_timeout_s=settings.drain_timeout_s if spec.is_worker else settings.helper_timeout_s,
        cancel_timeout_s=settings.cancel_timeout_s,
        cancels=spec.is_worker,
    )


class ManagedSlot:
    """A slot and the process in it.

    Attributes:
        index: Position among the children of its role.
        generation: How many children it has had.
        channel: Our end while there is a process.
        pidfd: Readable when the process has ended; -1 where the system has none.
        last_words: The failure that the newest child of this slot told about; empty when it told of none.
        quiet: It was told not to take messages.
        old_log: The log was rotated since its process was forked, and it has not been told.
        on_probation: Its standard error goes to `captured`.
        crash: How the child before it died, until the next one is ready; fields of `core.hooks.Crash`.
        box, captured: See `blackbox`; of every child of this slot in turn.
        last_lines: The end of what the child that died last wrote to standard error, if it was on probation.
        died_mono: When that was.
        writing: The selector also watches for room to write.
    """

    def __init__(self, spec: ChildSpec, index: int, page: SlotPage, settings: SupervisorSettings) -> None:
        self.spec = spec
        self.index = index
        self.page = page
        self.limits = limits_of(spec, settings)
        self.child = Child()
        self.generation = 0
        self.channel: Channel | None = None
        self.pidfd = -1
        self.last_words = ""
        self.quiet = self.on_probation = self.old_log = False
        self.last_lines: tuple[str, ...] = ()
        self.died_mono = 0.0
        self.crash: Mapping[str, Any] | None = None
        self.box, self.captured = BlackBox(), BlackBox()
        self.writing = False

    @property
    def is_worker(self) -> bool:
        """Whether it counts for the brake and for the exit code."""
        return self.spec.is_worker

    @property
    def state(self) -> State:
        """Where its child is in its life."""
        return self.child.state

    def begin(self, *, quiet: bool, on_probation: bool) -> None:
        """A child is about to be made here; see `births` for the arguments."""
        self.generation += 1
        self.last_words = ""
        self.quiet, self.on_probation, self.old_log = quiet, on_probation, False
        self.box.begin()
        self.captured.begin()
        self.page.begin(self.spec.role, self.index)

    def remember(self, died: ChildDied, now: float) -> None:
        """For the next child, and for whoever asks why there is none."""
        self.died_mono = now
        self.last_lines = tuple(line[:_MOST_LINE_CHARS] for line in died.last_lines)
        if self.is_worker and died.reason in _CRASHES:
            told = ("index", "pid", "cause", "reason", "task", "message_id")
            more = {"stack": died.stack[-_MOST_STACK_CHARS:], "last_lines": self.last_lines}
            self.crash = {name: getattr(died, name) for name in told} | more

    def feed(self, event: Event, now: float) -> Action | None:
        """Move the child on and show it in the page; the action is for the caller to carry out."""
        self.child, action = step(self.child, event, self.limits, now)
        self.page.set_process(self.child.pid, self.child.state)
        return action

    def send_signal(self, number: signal.Signals) -> None:
        """To the child, if there is one yet; SIGKILL also to its process group: a handler's subprocesses go, too."""
        if not self.child.pid:  # 0 would be our own group
            return
        if number is signal.SIGKILL:
            self.sweep_group(self.child.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone already; macOS says EPERM for zombies
            os.kill(self.child.pid, number)

    def sweep_group(self, pid: int) -> None:
        """Kill what a dead child has left in its group: its messages will run again elsewhere."""
        if not pid:  # 0 would be our own group
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)

    def send(self, message: dict[str, Any]) -> None:
        """Through the channel; a child that is dying gets nothing, and its death is seen soon."""
        if self.channel is not None:
            with contextlib.suppress(OSError):
                self.channel.send(message)

    def forget_process(self) -> None:
        """Close what belonged to the process that has ended."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        self.writing = False


def make_slots(specs: Sequence[ChildSpec], board: Scoreboard, settings: SupervisorSettings) -> list[ManagedSlot]:
    """One slot per child, in the order of the specs.

    Raises:
        ConfigurationError: the scoreboard is too small, or two roles give back.
    """
    wanted = sum(spec.count for spec in specs)
    if wanted > len(board):
        raise ConfigurationError(f"scoreboard: expected {wanted} slots for these children, found {len(board)}")
    if sum(spec.gives_back for spec in specs) > 1:
        raise ConfigurationError("specs: at most one child can give back")
    numbered = [(spec, index) for spec in specs for index in range(spec.count)]
    return [ManagedSlot(spec, index, board.page(at), settings) for at, (spec, index) in enumerate(numbered)]
