"""Which descriptors a new process keeps, and what becomes of the others.

Called by `newborn` after a fork. Knows an allow-list and the kinds of descriptors, not what they are for.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor above 2 that is not in `keep`.

    Closing the inherited epoll is harmless; unregistering from it would edit the arbiter's own interest set.
    """
    kept = set(keep)
    for fd in descriptors():
        if fd > 2 and fd not in kept:
            with contextlib.suppress(OSError):
                os.close(fd)


def cut_loose(keep: Iterable[int], ours: Iterable[int]) -> None:
    """Of what the zygote had open, share nothing that two processes cannot share.

    Its own descriptors are closed. What the app opened while it was imported keeps its number, because an object of the
    app still holds it and would close, one day, whatever had taken that number meanwhile: files stay as they are,
    sockets, pipes and the descriptors of event loops are replaced by one that refuses all use.
    """
    kept, closed = {0, 1, 2, *keep}, set(ours)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for fd in descriptors():
        if fd in kept or fd == nothing:
            continue
        with contextlib.suppress(OSError):
            if fd in closed:
                os.close(fd)
            elif not is_file(fd):
                os.dup2(nothing, fd, inheritable=False)
    os.close(nothing)


def is_file(fd: int) -> bool:
    """Whether it is a file, folder or device: what several processes may hold open without disturbing each other."""
    mode = os.fstat(fd).st_mode
    return any(kind(mode) for kind in (stat.S_ISREG, stat.S_ISDIR, stat.S_ISCHR, stat.S_ISBLK))


def descriptors() -> list[int]:
    """The open descriptors of this process."""
    try:
        candidates = [int(name) for name in os.listdir("/dev/fd")]  # that of the listing itself is closed by now
    except OSError:  # no /dev or /proc here
        candidates = list(range(os.sysconf("SC_OPEN_MAX")))
    return [fd for fd in candidates if _is_open(fd)]


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
