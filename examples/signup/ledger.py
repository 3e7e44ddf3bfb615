"""What arrived: deliveries and distinct event ids per channel, duplicates, refusals.

Written by `sink`, shown by `watch`. No I/O, except one line per delivery when a record file is wanted.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Collection
from typing import Any, Final, TextIO

CHANNELS: Final = ("email", "analytics", "crm")
FLAKY_PERCENT: Final = 10


def is_flaky(event_id: str) -> bool:
    """Whether the CRM refuses the first delivery of this event: about one in ten, always the same ones."""
    return zlib.crc32(event_id.encode()) % 100 < FLAKY_PERCENT


class Ledger:
    """The counts of one sink.

    Attributes:
        refusals: How many deliveries were answered with 503 on purpose.
    """

    def __init__(self, record: TextIO | None = None) -> None:
        """`record`: a line-buffered file that gets one JSON object per delivery."""
        self.refusals = 0
        self._deliveries = dict.fromkeys(CHANNELS, 0)
        self._seen: dict[str, set[str]] = {channel: set() for channel in CHANNELS}
        self._refused: set[str] = set()
        self._record = record

    def refuse(self, event_id: str) -> bool:
        """True once for each flaky event: the next attempt is let through."""
        if event_id in self._refused or not is_flaky(event_id):
            return False
        self._refused.add(event_id)
        self.refusals += 1
        return True

    def delivered(self, channel: str, event_id: str, agent: str) -> None:
        """Count one delivery; `agent` is what its sender calls itself."""
        self._deliveries[channel] += 1
        self._seen[channel].add(event_id)
        if self._record is not None:
            line = {"channel": channel, "event_id": event_id, "agent": agent, "at": round(time.time(), 6)}
            self._record.write(json.dumps(line) + "\n")

    def deliveries(self, channel: str) -> int:
        return self._deliveries[channel]

    @property
    def duplicates(self) -> int:
        """Deliveries of an event that had arrived on the same channel before."""
        return sum(self._deliveries[channel] - len(self._seen[channel]) for channel in CHANNELS)

    def missing(self, channel: str, expected: Collection[str]) -> set[str]:
        """Those of `expected` that have not arrived on this channel. O(expected)."""
        return set(expected) - self._seen[channel]

    def counts(self) -> dict[str, Any]:
        """What GET /counts answers: {deliveries, distinct} per channel, duplicates and flaky_refusals."""
        channels = {
            channel: {"deliveries": self._deliveries[channel], "distinct": len(self._seen[channel])}
            for channel in CHANNELS
        }
        return {**channels, "duplicates": self.duplicates, "flaky_refusals": self.refusals}
