"""What the keeper is told: whom to reap, and whose leases to renew.

The arbiter hands in every dead child's incarnations; a reap is kept until the keeper confirms it and is sent again to
a new keeper. Decides nothing about children and never waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncq.supervisor.child import State
from asyncq.supervisor.page import Culprit
from asyncq.supervisor.slots import ManagedSlot

Incarnations = Sequence[tuple[str, Sequence[str]]]


class ReapLedger:
    """Reap messages by sequence number until they are confirmed."""

    def __init__(self) -> None:
        self._pending: dict[int, dict[str, Any]] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, incarnations: Incarnations, blame: str, culprit: Culprit | None = None) -> dict[str, Any] | None:
        """Remember a dead child's incarnations; None when there are none: then nothing is to be reaped.

        `culprit`: the message that alone is to blame; left out when it is no message that a reap could find.
        """
        if not incarnations:
            return None
        self._last += 1
        message: dict[str, Any] = {"type": "reap", "seq": self._last, "incarnations": incarnations, "blame": blame}
        if culprit is not None and culprit.token:
            message["culprit"] = {"queue": culprit.queue, "wid": culprit.wid, "token": culprit.token}
        self._pending[self._last] = message
        return message

    def confirm(self, seq: object) -> None:
        """The keeper did it. A second confirmation of the same one is harmless."""
        if isinstance(seq, int):
            self._pending.pop(seq, None)

    def pending(self) -> list[dict[str, Any]]:
        """Everything unconfirmed, oldest first."""
        return list(self._pending.values())


class KeeperLink:
    """The arbiter's side of the conversation with the keeper, which may be absent, booting or dead."""

    def __init__(self, slots: Sequence[ManagedSlot]) -> None:
        self._slots = slots
        self.keeper = next((slot for slot in slots if slot.spec.gives_back), None)
        self.ledger = ReapLedger()
        self._told_versions: tuple[int, ...] | None = None

    def buried(self, slot: ManagedSlot, blame: str, *, hung: bool = False) -> None:
        """A child is dead: have its incarnations reaped now, and cleared from its page.

        Args:
            slot: Where it lived.
            blame: What its end says against what it was running, a name of `core.blame.Blame`.
            hung: It was put down because its loop hung: if its page says what blocked it, only that is to blame.
        """
        incarnations = slot.page.incarnations
        culprit = slot.page.culprit if hung else None
        slot.page.clear_incarnations()
        if self.keeper is None:
            return
        message = self.ledger.add(incarnations, blame, culprit)
        if message is not None:
            # First without it in the list of the living: its leases must not be renewed once it is reaped.
            self.share_living()
            self._send(message)

    def keeper_ready(self) -> None:
        """A new keeper knows nothing: tell it everything."""
        self._told_versions = None
        self.share_living()
        for message in self.ledger.pending():
            self._send(message)

    def share_living(self) -> None:
        """Tell the keeper whose leases to renew, if that has changed since it was told. One cell read per slot."""
        versions = tuple([slot.page.incarnations_version for slot in self._slots])
        if versions == self._told_versions or not self._listening():
            return
        living = [entry for slot in self._slots for entry in slot.page.incarnations]
        self._send({"type": "live", "incarnations": living})
        self._told_versions = versions

    def _listening(self) -> bool:
        return self.keeper is not None and self.keeper.state in (State.READY, State.DRAINING)

    def _send(self, message: dict[str, Any]) -> None:
        if self.keeper is not None and self._listening():
            self.keeper.send(message)
