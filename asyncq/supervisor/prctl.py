"""Two requests to the kernel that Python has no function for: die with the parent, adopt the grandchildren.

Called by the arbiter and, after a fork, by its children. Linux only; elsewhere both answer that they cannot.
"""

from __future__ import annotations

import ctypes
import signal
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


def _find() -> Any:
    """Loaded before any fork, so that a child does not pay for it."""
    return getattr(ctypes.CDLL(None), "prctl", None)


_prctl: Final = _find()


def die_with_parent() -> bool:
    """Have this process killed by SIGKILL when its present parent ends; False where there is no prctl.

    The kernel means the parent's thread that forked, and forgets it at the next fork: call it in the very process that
    is to die, once its parent is the one to die with, and look afterwards whether that parent is still there.
    """
    return _prctl is not None and _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) == 0


def adopt_grandchildren() -> bool:
    """Become the parent of every descendant whose own parent ends; False where that cannot be had."""
    return _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
