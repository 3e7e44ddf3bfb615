"""From signals to commands, through a wake-up pipe; and what a forked child does with signals.

The arbiter opens the inbox, selects on its descriptor and asks for commands. Handlers do nothing but let the
interpreter write the signal's number into the pipe. Never decides what a command means.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from enum import Enum
from types import FrameType
from typing import Any, Final


class Command(Enum):
    """What a signal asks of the arbiter."""

    STOP = "stop"
    CANCEL = "cancel"
    QUIET = "quiet"
    RESUME = "resume"
    REOPEN = "reopen"
    DUMP = "dump"
    REAP = "reap"
    IGNORE = "ignore"


COMMANDS: Final[Mapping[signal.Signals, Command]] = {
    signal.SIGTERM: Command.STOP,
    signal.SIGINT: Command.STOP,
    signal.SIGQUIT: Command.CANCEL,
    signal.SIGCHLD: Command.REAP,
    signal.SIGTSTP: Command.QUIET,
    # systemd sends one behind every SIGTERM, and whoever wakes a stopped process sends one.
    signal.SIGCONT: Command.RESUME,
    signal.SIGUSR1: Command.REOPEN,
    signal.SIGUSR2: Command.DUMP,
    # Caught, so that none of them ends or stops the supervisor by its default action.
    signal.SIGHUP: Command.IGNORE,
    signal.SIGTTIN: Command.IGNORE,
    signal.SIGTTOU: Command.IGNORE,
}

_NUMBERS: Final = frozenset(int(number) for number in COMMANDS)

# A child leads its own process group: the terminal and `pkill -HUP` mean the arbiter, not the child. The others would
# end or stop a child that has not yet installed its own handlers.
_IGNORED_IN_CHILD: Final = (
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGTSTP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def _nothing(number: int, frame: FrameType | None) -> None:
    """The wake-up descriptor carries the signal's number; there is nothing left to do."""


class SignalInbox:
    """Catches the signals of the table while it is open."""

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup_before = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number in COMMANDS:
            self._before[number] = signal.signal(number, _nothing)

    def fileno(self) -> int:
        """Readable when a signal has come."""
        return self._read_fd

    def commands(self) -> list[tuple[Command, signal.Signals]]:
        """What came since the last call, in order, with the signal that asked for it."""
        try:
            raw = os.read(self._read_fd, 4096)
        except BlockingIOError:
            return []
        # Somebody else's handler writes into the same descriptor: only the table's numbers are ours.
        arrived = [signal.Signals(byte) for byte in raw if byte in _NUMBERS]
        return [(COMMANDS[number], number) for number in arrived]

    def close(self, *, at_the_end: bool = False) -> None:
        """Put back what was there before.

        Args:
            at_the_end: The process is about to end with an exit code of its own, from which no signal shall keep it:
                they are ignored from now on.
        """
        for number, handler in self._before.items():
            after = signal.SIG_DFL if handler is None else handler
            signal.signal(number, signal.SIG_IGN if at_the_end and number != signal.SIGCHLD else after)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._read_fd)
        os.close(self._write_fd)


def dispositions() -> dict[signal.Signals, Any]:
    """What is done about the signals of the table now."""
    return {number: signal.getsignal(number) for number in COMMANDS}


def put_back(before: Mapping[signal.Signals, Any]) -> None:
    """Undo what has changed since; what was set without Python's knowledge stays as it is."""
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


def reset_in_child() -> None:
    """Default actions, as a new process would have them; called after the fork while all signals are blocked.

    SIGTERM and SIGQUIT end the child until its target installs handlers of its own: drain for SIGTERM, cancel and
    hand back for SIGQUIT.
    """
    signal.set_wakeup_fd(-1)
    for number in COMMANDS:
        signal.signal(number, signal.SIG_IGN if number in _IGNORED_IN_CHILD else signal.SIG_DFL)
