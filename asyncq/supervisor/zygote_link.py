"""The arbiter's side of the zygote: orders to fork, one under way at a time, and what became of them.

A Spawner whose processes come into being later. Never waits; every order ends in a pid or in a refusal, at the latest
when the zygote dies.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asyncq.supervisor.channel import Channel, channel_pair
from asyncq.supervisor.child import State
from asyncq.supervisor.newborn import Order
from asyncq.supervisor.slots import ManagedSlot


@dataclass(frozen=True, slots=True)
class _Asked:
    """An order, and the child's end of its channel, which is ours until it was sent."""

    seq: int
    order: Order
    channel: Channel


class ZygoteLink:
    """Has the zygote fork.

    Args:
        slot: Where the zygote lives.
        on_forked: Called with (slot number, pid) once a child is there.
        on_refused: Called with (slot number, reason) when there will be none.
        on_orphaned: Called with (slot number) when there will be none because the zygote died.
    """

    def __init__(
        self,
        slot: ManagedSlot,
        on_forked: Callable[[int, int], object],
        on_refused: Callable[[int, str], object],
        on_orphaned: Callable[[int], object],
    ) -> None:
        self.slot = slot
        self._on_forked, self._on_refused, self._on_orphaned = on_forked, on_refused, on_orphaned
        self._last = 0
        self._waiting: deque[_Asked] = deque()
        self._under_way: _Asked | None = None

    @property
    def ready(self) -> bool:
        """It has imported the app and takes orders."""
        return self.slot.state is State.READY

    @property
    def busy(self) -> bool:
        """A child may be there whose pid we do not know yet."""
        return self._under_way is not None

    def spawn(self, order: Order) -> tuple[int, Channel]:
        """See Spawner: the pid is told later."""
        ours, theirs = channel_pair()
        self._last += 1
        asked = _Asked(self._last, order, theirs)
        if self._under_way is not None or self.slot.channel is None:
            self._waiting.append(asked)
            return 0, ours
        try:
            self._ask(self.slot.channel, asked)
        except OSError:
            ours.close()
            raise
        return 0, ours

    def answered(self, message: dict[str, Any]) -> None:
        """The zygote said `forked` or `not_forked`."""
        asked = self._under_way
        if asked is None or message.get("seq") != asked.seq:
            return
        self._under_way = None
        if message["type"] == "forked":
            self._on_forked(asked.order.page.index, int(message["pid"]))
        else:
            self._on_refused(asked.order.page.index, str(message.get("error")))
        self._go_on()

    def died(self) -> None:
        """The zygote is gone: nobody will answer. A child that it may have made finds its channel closed and ends."""
        orphaned = [*([self._under_way] if self._under_way else []), *self._waiting]
        self._under_way = None
        self._waiting.clear()
        for asked in orphaned:
            asked.channel.close()
            self._on_orphaned(asked.order.page.index)

    def _go_on(self) -> None:
        """Send the next order that can be sent."""
        while self._under_way is None and self._waiting and self.slot.channel is not None:
            asked = self._waiting.popleft()
            try:
                self._ask(self.slot.channel, asked)
            except OSError as error:
                self._on_refused(asked.order.page.index, str(error))

    def _ask(self, channel: Channel, asked: _Asked) -> None:
        """Send one order. If the zygote is dying, its death will be the answer.

        Raises:
            OSError: the system refuses to send it.
        """
        order = asked.order
        message = {
            "type": "fork",
            "seq": asked.seq,
            "slot": order.page.index,
            "generation": order.generation,
            "quiet": order.quiet,
            "crash": order.crash,
        }
        fds = [asked.channel.fileno(), *(fd for fd in (order.box_fd, order.captured_fd) if fd >= 0)]
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                channel.send_with(message, fds)
            self._under_way = asked
        finally:
            asked.channel.close()
