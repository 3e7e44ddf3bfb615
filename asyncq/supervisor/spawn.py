"""Makes child processes. The only module of the house that forks.

ForkSpawner forks the arbiter itself, for children that import what they run; `fork_orphan` is how the zygote forks, for
a parent that is not its own. What the new process does then stands in `newborn`; it never returns into the frames of
whoever forked it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable, Iterable
from typing import Final, NoReturn, Protocol

from asyncq.supervisor import prctl
from asyncq.supervisor.channel import Channel, channel_pair, readable
from asyncq.supervisor.newborn import Order, flush_streams, live

# A double fork takes a few milliseconds; what takes as long as this is stuck in somebody's at-fork hook.
ORPHAN_S: Final = 5.0
_PID_BYTES: Final = 8


class Spawner(Protocol):
    """How a process comes into being."""

    def spawn(self, order: Order) -> tuple[int, Channel]:
        """Make it, or have it made: its pid, 0 if that is told later, and our end of its channel.

        Raises:
            OSError: the system refuses (EAGAIN, ENOMEM, EMFILE); trying again later can help.
        """


class ForkSpawner:
    """Forks the calling process. Make it in the arbiter, before the first fork."""

    def __init__(self) -> None:
        self._arbiter_pid = os.getpid()
        prctl.load()

    def spawn(self, order: Order) -> tuple[int, Channel]:
        """See Spawner."""
        ours, theirs = channel_pair()
        flush_streams()
        # A signal that reached the child between the fork and `reset_in_child` would run the arbiter's handler
        # there and write into the arbiter's own wake-up pipe.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                live(order, theirs, mask, self._arbiter_pid)
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
        with contextlib.suppress(OSError):  # the child has done it already, or is already gone
            os.setpgid(pid, pid)
        return pid, ours


def fork_orphan(life: Callable[[Iterable[int]], NoReturn]) -> int:
    """Fork a process that is not our child: by way of one between us that ends at once.

    Args:
        life: What it does; called in it with all signals blocked, told those that were blocked before. Never returns.

    Returns: its pid.

    Raises:
        OSError: the system refuses.
        TimeoutError: the process between us has not ended in time; it was killed.
    """
    flush_streams()
    answer, question = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        between = os.fork()
        if between == 0:
            _be_between(life, mask, answer, question)
    except OSError:
        os.close(answer)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(question)
    told = _told_pid(answer)
    if not told:
        with contextlib.suppress(ProcessLookupError):
            os.kill(between, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):  # the app has the kernel collect its children
        os.waitpid(between, 0)
    if not told:
        raise TimeoutError(f"a double fork has not ended within {ORPHAN_S:g} s")
    if told < 0:
        raise OSError(-told, os.strerror(-told))
    return told


def _be_between(life: Callable[[Iterable[int]], NoReturn], mask: Iterable[int], answer: int, question: int) -> NoReturn:
    """Fork, tell the grandchild's pid, or minus the number of the error, and end."""
    try:
        try:
            pid = os.fork()
        except OSError as error:
            pid = -(error.errno or errno.EAGAIN)
        if pid == 0:
            os.close(answer)
            os.close(question)
            life(mask)
        with contextlib.suppress(OSError):  # it does so itself, unless a hook of the fork hangs in it
            os.setpgid(pid, pid)
        os.write(question, pid.to_bytes(_PID_BYTES, "little", signed=True))
    finally:
        os._exit(0)


def _told_pid(answer: int) -> int:
    """What the process between us has said; 0 when it said nothing in time."""
    try:
        told = readable(answer, ORPHAN_S)
        return int.from_bytes(os.read(answer, _PID_BYTES), "little", signed=True) if told else 0
    finally:
        os.close(answer)
