"""What counts as a number where a program gives one: in options, policies, messages and what handlers raise. Pure.

Asked by everybody who checks such a value; texts that people write are read by `core.parse`.
"""

from __future__ import annotations

import math
from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """An int or float that a float can hold. True and False are none, nor are NaN and infinity."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an int beyond every float
        return False


def is_whole(value: object) -> TypeGuard[int]:
    """An int. True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)
