"""Blame: how a process ended, and what that says against the messages it was running.

Named by whoever reaps (the keeper, from what the supervisor saw; the reaper, from what it does not know), carried to
Redis by the broker: the reap script adds it up per message. Values only.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

# How long deaths are remembered per message.
DEATHS_KEPT_S: Final = 3 * 86_400.0
# As many points against a message that ran alone make it a dead letter.
CONVICTING: Final = 4
# It is calm when no worker of the queue was killed for this long. While workers are being killed (by people, by the
# memory killer), no death proves anything: what died alone waits, and is run again when it is calm, or after this long.
CALM_S: Final = 10.0
CALM_AWAITED_S: Final = 3_600.0


class Blame(IntEnum):
    """An end, and its points against a message that ran alone at that moment.

    NOBODY: it was asked to end, or had to leave something behind: accuses nobody.
    LOST: its lease ran out and nobody saw why: it may have been cut off, or the whole machine died.
    KILLED: by SIGKILL (people and the memory killer do that, too), or nobody saw how.
    CRASHED: it ended by itself: with an exit code, by another signal, or by a SIGKILL that it was seen to send.
    """

    NOBODY = 0
    LOST = 1
    KILLED = 2
    CRASHED = CONVICTING
