"""The line of the user's code at which an error arose, for sentences that name it.

Asked by whoever runs user code outside of a task: the import of the app, and hooks. No I/O.
"""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

_ROOM = str(Path(__file__).resolve().parents[1])


def where(error: BaseException) -> str:
    """file:line of the innermost frame that is the user's own; "" if there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _is_users(filename: str) -> bool:
    if filename.startswith("<"):
        return False
    paths = sysconfig.get_paths()
    theirs = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], _ROOM}
    return not any(filename.startswith(f"{folder}/") for folder in theirs)
