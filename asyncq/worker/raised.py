"""What a handler raised, in words: the name of its class, one line, and a traceback of bounded size.

Called by the executor for whatever user code raises. Never raises itself and is never long at it: an exception may have
a text of megabytes, a thousand frames, notes, causes and groups, or a `__str__` that fails.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Final

from asyncq.core.outcome import CUT, ending
from asyncq.core.settlement import MAX_TRACEBACK_CHARS

MAX_TYPE_CHARS: Final = 100
MAX_ERROR_CHARS: Final = 500
# Of one frame, or of one exception's own text: so that a long text leaves room for the frames before it.
MAX_PART_CHARS: Final = 4_000
# Of each exception. Python itself allows a thousand by default; beyond, only time would be spent on what is cut.
MAX_FRAMES: Final = 1_000


def type_name(error: BaseException) -> str:
    """The name of its class."""
    return type(error).__name__[:MAX_TYPE_CHARS]


def one_line(error: BaseException) -> str:
    """Its own last line, without the notes that may follow it."""
    try:
        summary = traceback.TracebackException(type(error), error, None)
        summary.__notes__ = None
        *_, last = summary.format_exception_only()
    except Exception as fault:  # noqa: BLE001 - fence: to look at an exception runs user code
        last = f"{type_name(error)}, which cannot be written: {type_name(fault)}"
    return _sayable(" ".join(last[: 10 * MAX_ERROR_CHARS].split()))[:MAX_ERROR_CHARS]


def trace(error: BaseException) -> str:
    """The traceback without our own frame on top; of a long one the end."""
    frames = error.__traceback__.tb_next if error.__traceback__ else None
    frames = frames or error.__traceback__
    try:
        summary = traceback.TracebackException(type(error), error, frames, limit=-MAX_FRAMES)
        text = _joined(summary.format())
    except Exception as fault:  # noqa: BLE001 - as above; groups nested by the thousand, too
        text = f"{type_name(error)}: its traceback cannot be written: {type_name(fault)}\n"
    if _is_deeper(frames, MAX_FRAMES):
        text = CUT + text
    return ending(_sayable(ending(text, MAX_TRACEBACK_CHARS)), MAX_TRACEBACK_CHARS)


def _joined(parts: Iterable[str]) -> str:
    return "".join(part if len(part) <= MAX_PART_CHARS else _without_middle(part) for part in parts)


def _without_middle(part: str) -> str:
    half = MAX_PART_CHARS // 2
    return f"{part[:half]}[{len(part) - 2 * half} characters were cut]{part[-half:]}"


def _is_deeper(frames: TracebackType | None, than: int) -> bool:
    while frames is not None and than >= 0:
        frames, than = frames.tb_next, than - 1
    return than < 0


def _sayable(text: str) -> str:
    """JSON cannot say a lone surrogate, and an error's text may hold anything."""
    return text.encode("utf-8", "backslashreplace").decode()
