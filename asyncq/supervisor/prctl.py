"""Two requests to the kernel that Python has no function for: die with the parent, adopt the grandchildren.

Called by the arbiter and, after a fork, by its children. Linux only; elsewhere both answer that they cannot.
"""

from __future__ import annotations

import ctypes
import functools
import signal
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


def load() -> None:
    """Look the function up now, so that a child does not pay for it after its fork."""
    _prctl()


def die_with_parent() -> bool:
    """Have this process killed by SIGKILL when its present parent ends; False where there is no prctl.

    The kernel means the parent's thread that forked, and forgets it at the next fork: call it in the very process that
    is to die, once its parent is the one to die with, and look afterwards whether that parent is still there.
    """
    return _asked(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def adopt_grandchildren() -> bool:
    """Become the parent of every descendant whose own parent ends; False where that cannot be had."""
    return _asked(_PR_SET_CHILD_SUBREAPER, 1)


def _asked(what: int, argument: int) -> bool:
    prctl = _prctl()
    return prctl is not None and prctl(what, argument, 0, 0, 0) == 0


@functools.cache
def _prctl() -> Any:
    return getattr(ctypes.CDLL(None), "prctl", None)
