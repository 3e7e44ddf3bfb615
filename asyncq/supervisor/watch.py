"""What the arbiter listens to: the inbox of signals, and each child's channel and end.

Owned by the arbiter, whose loop calls `wait`. Reads messages and collects ended processes; what they mean is for the
callbacks. The only module of the room that touches the selector and `waitpid`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import selectors
from collections.abc import Callable
from typing import Any

from asyncq.supervisor.policy import Exit
from asyncq.supervisor.signals import SignalInbox
from asyncq.supervisor.slots import ManagedSlot


class Watch:
    """One selector over everything that can wake the arbiter.

    Args:
        inbox: Of signals; stays its owner's.
        on_signals: It has something.
        on_message: A child said something.
        on_end: A child's process has ended; its last words have been heard and its descriptors closed.
        expecting: Whether a child may be there whose pid we do not know yet.
    """

    def __init__(
        self,
        inbox: SignalInbox,
        on_signals: Callable[[], object],
        on_message: Callable[[ManagedSlot, dict[str, Any]], object],
        on_end: Callable[[ManagedSlot, Exit], object],
        expecting: Callable[[], bool] = lambda: False,
    ) -> None:
        self._on_message, self._on_end, self.expecting = on_message, on_end, expecting
        self._by_pid: dict[int, ManagedSlot] = {}
        self._strangers: dict[int, Exit] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(inbox, selectors.EVENT_READ, lambda mask: on_signals())

    def listen(self, slot: ManagedSlot) -> None:
        """To the channel of a child that is there or is being made."""
        assert slot.channel is not None
        self._selector.register(slot.channel, selectors.EVENT_READ, functools.partial(self._on_channel, slot))

    def hang_up(self, slot: ManagedSlot) -> None:
        """On a child that was never made."""
        if slot.channel is not None:
            self._selector.unregister(slot.channel)
        slot.forget_process()

    def add(self, slot: ManagedSlot, pid: int) -> Exit | None:
        """A process was made for this slot. Returns its end if it is over already."""
        end = self._strangers.pop(pid, None)
        if end is not None and not _is_our_child(pid):
            self._let_go(slot)
            return end
        self._by_pid[pid] = slot
        # A pidfd says it sooner and more surely than SIGCHLD; SIGCHLD alone is enough where there is none.
        with contextlib.suppress(AttributeError, OSError):
            slot.pidfd = os.pidfd_open(pid)
        if slot.pidfd >= 0:
            self._selector.register(slot.pidfd, selectors.EVENT_READ, lambda mask: self.reap())
        return None

    def wait(self, timeout_s: float) -> None:
        """Sleep until something happens, at most this long, and pass it on."""
        self._watch_for_room()
        for key, mask in self._selector.select(timeout_s):
            key.data(mask)

    def reap(self) -> None:
        """Collect every ended process. That includes strangers: orphans of the children, and as PID 1 anybody's."""
        if not self.expecting():
            self._strangers.clear()
        while ended := _next_ended():
            pid, end = ended
            slot = self._by_pid.pop(pid, None)
            if slot is None:
                self._strangers[pid] = end  # it may be a child of ours whose pid the zygote is about to tell
            else:
                self._let_go(slot)
                self._on_end(slot, end)

    def kill_everything(self) -> None:
        """The fence of a broken arbiter: nobody of the tree outlives it."""
        for pid, slot in self._by_pid.items():
            slot.sweep_group(pid)
        for pid in self._by_pid:
            os.waitpid(pid, 0)

    def close(self) -> None:
        """Stop listening."""
        self._selector.close()

    def _on_channel(self, slot: ManagedSlot, mask: int) -> None:
        channel = slot.channel
        if channel is None:  # its end was seen earlier in this turn
            return
        if mask & selectors.EVENT_WRITE:
            with contextlib.suppress(OSError):  # whoever does not read any more may still have said something
                channel.flush()
        try:
            for message in channel.messages(slot.spec.role):
                self._on_message(slot, message)
        except EOFError:
            # Not a death yet (a foreign program closes it on exec): the process itself is watched.
            self._selector.unregister(channel)
            channel.close()
            slot.channel = None

    def _watch_for_room(self) -> None:
        """Watch for room to write exactly while something waits in an outbox."""
        for slot in self._by_pid.values():
            if slot.channel is not None and slot.channel.unsent != slot.writing:
                slot.writing = slot.channel.unsent
                mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if slot.writing else 0)
                self._selector.modify(slot.channel, mask, functools.partial(self._on_channel, slot))

    def _let_go(self, slot: ManagedSlot) -> None:
        """Hear its last words, then close what belonged to the process."""
        self._on_channel(slot, 0)
        if slot.channel is not None:
            self._selector.unregister(slot.channel)
        if slot.pidfd >= 0:
            self._selector.unregister(slot.pidfd)
        slot.forget_process()


def _is_our_child(pid: int) -> bool:
    """A process with this number lives or waits to be collected, and is ours: the number was given a second time."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _next_ended() -> tuple[int, Exit] | None:
    """Collect one ended process; None when there is none."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:  # no children at all
        return None
    return (pid, Exit(os.waitstatus_to_exitcode(status))) if pid else None
