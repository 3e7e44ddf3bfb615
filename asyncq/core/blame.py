"""Blame: how a process ended, and what that says against the messages it was running.

Named by whoever reaps (the keeper, from what the supervisor saw; the reaper, from what it does not know), carried to
Redis by the broker: the reap script adds it up per message. Values only.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

# How long deaths are remembered per message, and for how long an acquittal shows that somebody outside kills.
DEATHS_KEPT_S: Final = 3 * 86_400.0
ACQUITTALS_KEPT_S: Final = 3_600.0
# As many points against a message that ran alone make it a dead letter; more while there are acquittals.
CONVICTING: Final = 4


class Blame(IntEnum):
    """An end, and its points against a message that ran alone at that moment.

    NOBODY: it was asked to end, or had to leave something behind: accuses nobody.
    LOST: its lease ran out and nobody saw why: it may have been cut off, or the whole machine died.
    KILLED: by SIGKILL (people and the memory killer do that, too), or nobody saw how.
    CRASHED: it ended by itself, with an exit code or another signal.
    """

    NOBODY = 0
    LOST = 1
    KILLED = 2
    CRASHED = CONVICTING
