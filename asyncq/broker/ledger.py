"""Ledger: which tokens an incarnation has given out, holds, or does not know the fate of. Pure bookkeeping.

Called by the registration. Every take gets a token range that no other take ever gets; when a take's reply is lost its
range stays open for the incarnation's life, because the request may be carried out late. A token below zero is that of
a message that runs alone; the number itself comes from the same ranges. Never speaks Redis.
"""

from __future__ import annotations

from collections.abc import Iterable


class Ledger:
    """The tokens of one incarnation.

    Attributes:
        held: Delivered to the worker (or about to be) and not settled yet.
    """

    __slots__ = ("_adopted", "_next", "_open", "held")

    def __init__(self) -> None:
        self.held: set[int] = set()
        self._next = 1
        self._open: list[range] = []
        self._adopted: set[int] = set()

    def reserve(self, count: int) -> range:
        """`count` tokens for one take, never given out before."""
        tokens = range(self._next, self._next + count)
        self._next += count
        return tokens

    def leave_open(self, tokens: range) -> None:
        """The take of this range may happen, have happened, or never happen."""
        if tokens:
            self._open.append(tokens)

    def deliver(self, tokens: Iterable[int]) -> None:
        """These are in flight here."""
        self.held.update(tokens)

    def settle(self, tokens: Iterable[int]) -> None:
        """These are no longer in flight here."""
        self.held.difference_update(tokens)

    def sort_out(self, recorded: Iterable[int]) -> tuple[list[int], list[int]]:
        """Compare with what Redis records as in flight.

        Args:
            recorded: Every token in the in-flight record, read while no take of ours was under way.

        Returns:
            (stray, settled). Stray: taken by a call whose reply was lost, to be run now; they count as held from here
            on and are never stray again. Settled: done before, recorded again or still; to be deleted, never run.
        """
        unknown = sorted(token for token in recorded if token not in self.held)
        stray = [token for token in unknown if token not in self._adopted and self._is_open(token)]
        self._adopted.update(stray)
        self.held.update(stray)
        return stray, [token for token in unknown if token not in self.held]

    def _is_open(self, token: int) -> bool:
        return any(abs(token) in tokens for tokens in self._open)
