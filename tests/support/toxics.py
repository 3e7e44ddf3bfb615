"""Toxics: what a proxy may do to bytes on their way, as values, and the dice that decide when one strikes.

Used by `toxic_proxy`, which carries it out. Pure but for the random numbers, whose seed the test gives and prints.
"""

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, get_args

Way = Literal["up", "down"]  # requests to the server, replies to the client
Kind = Literal["latency", "slice", "swallow", "black-hole", "cut", "cut-inside", "reset", "hold"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class Toxic:
    """One fault.

    Attributes:
        kind: What happens to the bytes that were read in one go:
            "latency": they arrive later, in their order; beyond the client's time-out they are a request that Redis
            carries out when nobody waits any more. "slice": they arrive in segments of one byte. "swallow": they are
            dropped, what comes behind them is not. "black-hole": nothing passes this way on this connection any more,
            not even its end. "cut": they are dropped and both ends closed. "cut-inside": half of them passes, then
            both ends are closed. "reset": as "cut", with RST instead of FIN. "hold": a request is kept for `release`
            and the client's connection closed.
        way: "up" or "down".
        share: How likely it is to strike.
        marker: Only a request that holds these bytes, or the reply to one. Empty: all.
        limit: Strikes at most so often; None = again and again.
        delay_s: Latency.
        jitter_s: Up to so much more latency.
    """

    kind: Kind
    way: Way
    share: float = 1.0
    marker: bytes = b""
    limit: int | None = None
    delay_s: float = 0.0
    jitter_s: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.way not in get_args(Way):
            raise ValueError(f"expected one of {KINDS} on its way up or down, found {self.kind!r} {self.way!r}")
        if self.kind == "hold" and self.way != "up":
            raise ValueError("expected a request to hold, found a reply")


def as_json(toxic: Toxic) -> dict[str, Any]:
    """For the proxy in another process."""
    return {**toxic.__dict__, "marker": base64.b64encode(toxic.marker).decode()}


def from_json(fields: dict[str, Any]) -> Toxic:
    return Toxic(**{**fields, "marker": base64.b64decode(fields["marker"])})


class Dice:
    """Decides which toxics strike, and counts them by kind."""

    def __init__(self, toxics: Sequence[Toxic], seed: int) -> None:
        self.struck: Counter[str] = Counter()
        self._rng = Random(seed)
        self.set(toxics)

    def set(self, toxics: Sequence[Toxic]) -> None:
        """These from now on, with full limits."""
        self._left: list[tuple[Toxic, int | None]] = [(toxic, toxic.limit) for toxic in toxics]

    def add(self, toxic: Toxic) -> None:
        """This one, too."""
        self._left.append((toxic, toxic.limit))

    def remove(self, toxic: Toxic) -> None:
        """Not this one any more; harmless when it is not there."""
        self._left = [row for row in self._left if row[0] is not toxic]

    def waits(self, toxic: Toxic) -> bool:
        """Whether it may still strike."""
        return any(row[0] is toxic and row[1] != 0 for row in self._left)

    def throw(self, way: Way, asked: bytes) -> list[Toxic]:
        """Those that strike now, in their order; `asked` is the request, also on the way down."""
        found = []
        for k, (toxic, left) in enumerate(self._left):
            if toxic.way != way or left == 0 or toxic.marker not in asked or self._rng.random() >= toxic.share:
                continue
            self._left[k] = (toxic, None if left is None else left - 1)
            self.struck[toxic.kind] += 1
            found.append(toxic)
        return found

    def delay_s(self, toxic: Toxic) -> float:
        return toxic.delay_s + self._rng.random() * toxic.jitter_s
