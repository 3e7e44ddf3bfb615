"""The files that standard output and standard error lead to, found again by their path after a rotation.

Used by `logs` only. `remember` is called in the first process of a tree, before anybody renames a file: the kernel only
knows what a file is called now. What it has found crosses a fork as every other value does.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from typing import Final

STANDARD: Final = (1, 2)
_NAMES: Final = "/proc/self/fd"


@dataclass(frozen=True, slots=True)
class LogFile:
    """A regular file behind a descriptor.

    Attributes:
        fd: 1 or 2.
        path: What it was called when it was found.
        identity: Device and number of the file: what else may be behind the descriptor by now is not ours to replace.
    """

    fd: int
    path: str
    identity: tuple[int, int]


LogFiles = tuple[LogFile, ...]


def standing() -> LogFiles:
    """What standard output and standard error lead to now; nothing for a terminal, a pipe, or a file without a name."""
    return tuple(file for fd in STANDARD if (file := _found(fd)) is not None)


def _found(fd: int) -> LogFile | None:
    with contextlib.suppress(OSError):  # closed, no procfs, or the name is gone
        path = os.readlink(f"{_NAMES}/{fd}")
        identity = _identity(fd)
        if stat.S_ISREG(os.fstat(fd).st_mode) and identity == _identity(path):
            return LogFile(fd, path, identity)
    return None


def _identity(file: int | str) -> tuple[int, int]:
    found = os.stat(file)
    return found.st_dev, found.st_ino


def reopen(file: LogFile) -> LogFile:
    """Open the same path again, to append, in the place of the file that was there.

    A descriptor that leads elsewhere by now is left alone: to a box that the supervisor reads, or to nothing.

    Returns:
        The file as it is now.

    Raises:
        OSError: no file can be made there; the one that was open stays so.
    """
    try:
        before = os.fstat(file.fd)
    except OSError:
        return file
    if (before.st_dev, before.st_ino) != file.identity:
        return file
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
    fresh = os.open(file.path, flags, stat.S_IMODE(before.st_mode))
    try:
        os.dup2(fresh, file.fd)
        return LogFile(file.fd, file.path, _identity(file.fd))
    finally:
        os.close(fresh)
