"""Which SIGKILL came from the kernel for want of memory, as far as the counter of the control group tells.

Owned by the vigil. The counter says how many were killed, not who: each increase explains one death of ours, and an
increase that no death of ours follows was somebody else's (a subprocess of a handler).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# A death is noticed within milliseconds of the kill: an increase that is older than this explains none any more.
WAITS_S: Final = 2.0


class MemoryKills:
    """Accounts for the counter's increases.

    Args:
        read: The counter; None = nobody counts.
        now: Monotonic seconds.
    """

    def __init__(self, read: Callable[[], int | None], now: float) -> None:
        self._read = read
        self._accounted = self._seen = read()
        self._next_mono = now + WAITS_S

    def look(self, now: float) -> None:
        """Forget what nobody has asked about. Reads the counter every two seconds."""
        if now >= self._next_mono:
            if self._seen is not None:
                self._accounted = max(self._accounted or 0, self._seen)
            self._seen = self._read()
            self._next_mono = now + WAITS_S

    def explains(self) -> bool:
        """Whether a death that has just been noticed may be one of those counted; at most one death for each."""
        count = self._read()
        if count is None or self._accounted is None or count <= self._accounted:
            return False
        self._accounted += 1
        return True
