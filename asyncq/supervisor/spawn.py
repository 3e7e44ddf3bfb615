"""Makes child processes. The only module of the house that forks.

Called by the arbiter through the `Spawner` door; ForkSpawner forks the arbiter itself, and the child imports its
target afterwards. In the child nothing of the arbiter stays usable: descriptors, signal handlers and random state are
replaced before the first line of the target runs, and the child never returns into the arbiter's frames.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import pkgutil
import random
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from asyncq.core.errors import EXIT_CRASH_LOOP, EXIT_INTERNAL, EXIT_OK, AsyncqError
from asyncq.supervisor.channel import Channel, channel_pair
from asyncq.supervisor.page import SlotPage
from asyncq.supervisor.signals import reset_in_child
from asyncq.supervisor.spec import ChildSpec

_log = logging.getLogger("asyncq.supervisor")

_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class ChildContext:
    """What a target is called with.

    Attributes:
        index: Position among the children of its role; `page.index` is the slot's position in the scoreboard.
        generation: How many children this slot has had, this one included.
        page: Its own page: a `core.doors.Slot`.
        channel: To the arbiter. Send `{"type": "ready", ...}` once; EOFError from `receive` = the arbiter is gone.
        args: From the ChildSpec.
    """

    index: int
    generation: int
    page: SlotPage
    channel: Channel
    args: Any


@dataclass(frozen=True, slots=True)
class Order:
    """One child to be made; fields as in ChildContext."""

    spec: ChildSpec
    index: int
    generation: int
    page: SlotPage


class Spawner(Protocol):
    """How a process comes into being."""

    def spawn(self, order: Order) -> tuple[int, Channel]:
        """Make it: its pid, and our end of its channel.

        Raises:
            OSError: the system refuses (EAGAIN, ENOMEM, EMFILE); trying again later can help.
        """


class ForkSpawner:
    """Forks the calling process. Make it in the arbiter, before the first fork."""

    def __init__(self) -> None:
        self._arbiter_pid = os.getpid()
        self._die_with_parent = _death_signal()

    def spawn(self, order: Order) -> tuple[int, Channel]:
        """See Spawner."""
        ours, theirs = channel_pair()
        _flush_streams()  # or both processes would write what is buffered
        # A signal that reached the child between the fork and `reset_in_child` would run the arbiter's handler
        # there and write into the arbiter's own wake-up pipe.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                self._become_child(order, theirs, mask)
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
        with contextlib.suppress(OSError):  # the child has done it already, or is already gone
            os.setpgid(pid, pid)
        return pid, ours

    def _become_child(self, order: Order, channel: Channel, mask: Iterable[int]) -> None:
        """The child's whole life; never returns.

        The arbiter's frames stay on the stack below, and with them its selector and descriptors' owners: nothing of
        them is collected, so nobody closes a number that belongs to somebody else by now.
        """
        code = EXIT_INTERNAL
        try:
            os.setpgid(0, 0)
            self._die_with_parent()
            # The arbiter may have died before the line above: then nobody would ever tell us.
            if os.getppid() == self._arbiter_pid:
                reset_in_child()
                close_all_but((channel.fileno(), *order.spec.keep_fds))
                random.seed()
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                code = run_target(order, channel)
        except BaseException:  # noqa: BLE001 - fence: below this line lie the arbiter's frames
            _log.exception("child not prepared", extra={"role": order.spec.role, "index": order.index})
        finally:
            _flush_streams()
            os._exit(code)


def run_target(order: Order, channel: Channel) -> int:
    """Import the target, run it, and turn whatever comes out into an exit code."""
    spec = order.spec
    context = ChildContext(order.index, order.generation, order.page, channel, spec.args)
    try:
        return int(pkgutil.resolve_name(spec.target)(context) or EXIT_OK)
    except SystemExit as stop:
        return _code_of(stop)
    except AsyncqError as error:
        _say_last_words(channel, str(error), f"asyncq: {error}")
        return error.exit_code
    except BaseException as error:  # noqa: BLE001 - fence: a child's end is an exit code, whatever it was
        _log.exception("child failed", extra={"role": spec.role, "index": order.index, "child": os.getpid()})
        _say_last_words(channel, f"{type(error).__name__}: {error}", "")
        return EXIT_INTERNAL


def _code_of(stop: SystemExit) -> int:
    """As the interpreter does: None is 0, a text is printed and is 1."""
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or EXIT_OK
    sys.stderr.write(f"{stop.code}\n")
    return EXIT_CRASH_LOOP


def _say_last_words(channel: Channel, sentence: str, fallback: str) -> None:
    """Tell the arbiter, which writes the same sentence of several children once; else standard error."""
    try:
        channel.send({"type": "failed", "sentence": sentence})
    except (OSError, ValueError):
        if fallback:
            sys.stderr.write(fallback + "\n")


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor above 2 that is not in `keep`.

    Closing the inherited epoll is harmless; unregistering from it would edit the arbiter's own interest set.
    """
    kept = set(keep)
    try:
        candidates = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # no /dev or /proc here
        candidates = list(range(3, os.sysconf("SC_OPEN_MAX")))
    for fd in candidates:
        if fd > 2 and fd not in kept:
            with contextlib.suppress(OSError):
                os.close(fd)


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or None under pythonw and daemons
            stream.flush()


def _death_signal() -> Callable[[], object]:
    """A function that makes the calling process die by SIGKILL with its parent; does nothing without prctl.

    Resolved before the fork, so that a child does not pay for loading ctypes. Without prctl the end of the channel
    (EOFError in the child) is the only line.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None:
        return lambda: None
    number = int(signal.SIGKILL)
    return lambda: prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
