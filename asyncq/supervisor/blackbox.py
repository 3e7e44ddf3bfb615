"""A black box: an unnamed file per slot that a child writes into when it is in trouble, and that outlives it.

Made by the arbiter before the first fork, appended to by the child through its descriptor (stacks, the dump of its
asyncio tasks), read by the arbiter. What it holds comes from user code: it is shown, never obeyed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import os
import signal
import tempfile
from typing import Final

from asyncq.core.logs import printable

LIMIT_BYTES: Final = 256 * 1024
CUT: Final = "[more was written than is kept here]"


class BlackBox:
    """One slot's box; belongs to the arbiter.

    Raises:
        OSError: the system has no memory or descriptor for it.
    """

    def __init__(self) -> None:
        self._fd = _unnamed_file()
        self._read_bytes = 0

    def fileno(self) -> int:
        """The child's end is the same number: keep it open over the fork. Not inherited by what is executed."""
        return self._fd

    def begin(self) -> None:
        """A child is about to be born: forget what the one before wrote."""
        os.ftruncate(self._fd, 0)
        self._read_bytes = 0

    def read_new(self) -> str:
        """What came since the last call, lines as they are; of much the newest part, and a word that some was cut."""
        size = os.fstat(self._fd).st_size
        start = max(self._read_bytes, size - LIMIT_BYTES) if size >= self._read_bytes else 0
        cut, self._read_bytes = start > self._read_bytes, size
        return _text(os.pread(self._fd, size - start, start), cut=cut)

    def tail(self, lines: int) -> tuple[str, ...]:
        """The last lines of everything in it, without the empty ones; does not count as reading."""
        size = os.fstat(self._fd).st_size
        start = max(0, size - LIMIT_BYTES)
        text = _text(os.pread(self._fd, size - start, start), cut=start > 0)
        return tuple([line for line in text.split("\n") if line.strip()][-lines:]) if lines > 0 else ()

    def keep_small(self) -> None:
        """Whoever writes for ever must not fill the memory: what is too much is dropped, the older half of it first.

        Call it now and then for a child whose standard error goes here. What is written in the same moment is lost.
        """
        size = os.fstat(self._fd).st_size
        if size > LIMIT_BYTES:
            newest = os.pread(self._fd, LIMIT_BYTES // 2, size - LIMIT_BYTES // 2)
            unread = max(0, size - max(self._read_bytes, size - len(newest)))
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f"{CUT}\n".encode() + newest)
            self._read_bytes = max(0, os.fstat(self._fd).st_size - unread)

    def close(self) -> None:
        """Nobody reads it any more."""
        with contextlib.suppress(OSError):
            os.close(self._fd)


def record_stacks(fd: int) -> None:
    """In a child, as early as there is one: a fatal signal and SIGUSR2 write the stacks of all threads into its box.

    A worker adds its asyncio tasks later (`worker.dump`).
    """
    faulthandler.enable(file=fd, all_threads=True)
    faulthandler.register(signal.SIGUSR2, file=fd, all_threads=True)


def _unnamed_file() -> int:
    """Append only, so that several writers and a truncation do not write over each other; closed on exec."""
    try:
        fd = os.memfd_create("asyncq-blackbox", os.MFD_CLOEXEC)
    except (AttributeError, OSError):  # another system than Linux, or not allowed
        with tempfile.TemporaryFile(buffering=0) as file:
            fd = os.dup(file.fileno())
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
    return fd


def _text(raw: bytes, *, cut: bool) -> str:
    text = raw.decode("utf-8", "replace")
    shown = "\n".join(printable(line) for line in text.split("\n"))
    return f"{CUT}\n{shown}" if cut else shown
