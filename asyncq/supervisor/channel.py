"""JSON messages between the arbiter and one child, one per line, over a socket pair.

The spawner makes the pair; each side holds one end as a bare descriptor, so that no object of the parent closes a
descriptor of the child when it is collected. Never blocks: what the other side does not read yet waits in `send`'s
outbox until `flush`.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import select
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final

_log = logging.getLogger("asyncq.supervisor")

_READ_BYTES: Final = 64 * 1024


class Channel:
    """One end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        # Byte arrays drop their front without copying the rest.
        self._outbox = bytearray()
        self._inbox = bytearray()
        self._fds: list[int] = []  # of a message that is not complete yet
        os.set_blocking(fd, False)

    def fileno(self) -> int:
        """The descriptor, readable when a message or the end has come; -1 when closed."""
        return self._fd

    @property
    def unsent(self) -> bool:
        """Something waits in the outbox: call `flush` when the descriptor is writable."""
        return bool(self._outbox)

    def send(self, message: dict[str, Any]) -> None:
        """Send one message, or as much of it as fits now.

        Raises:
            BrokenPipeError or ConnectionResetError: the other side is gone.
        """
        self._outbox += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        self.flush()

    def send_with(self, message: dict[str, Any], fds: Sequence[int]) -> None:
        """Send one message with copies of these descriptors, or nothing of it.

        Raises:
            BlockingIOError: the other side is behind with reading; nothing was sent.
            BrokenPipeError or ConnectionResetError: the other side is gone.
        """
        self.flush()
        if self._outbox:
            raise BlockingIOError(errno.EAGAIN, "the other end of the channel does not read")
        raw = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        end = socket.socket(fileno=self._fd)
        try:
            sent = socket.send_fds(end, [raw], fds)
        finally:
            end.detach()
        self._outbox += raw[sent:]

    def receive_with(self, most_fds: int) -> tuple[dict[str, Any], list[int]] | None:
        """The next message of `send_with` and its descriptors; None when none is here.

        The descriptors are the caller's now, and close on exec.

        Every message of this channel must come from `send_with`, and no more than one may be under way.

        Raises: as `receive` does.
        """
        end = socket.socket(fileno=self._fd)
        try:
            raw, fds, _, _ = socket.recv_fds(end, _READ_BYTES, most_fds)
        except BlockingIOError:
            return None
        finally:
            end.detach()
        for fd in fds:
            os.set_inheritable(fd, False)
        self._fds += fds
        self._inbox += raw
        message = self.receive()
        if message is None:
            return None
        fds, self._fds = self._fds, []
        return message, fds

    def flush(self) -> None:
        """Send what waits, as far as it fits. Raises as `send` does."""
        while self._outbox:
            try:
                del self._outbox[: os.write(self._fd, self._outbox)]
            except BlockingIOError:
                return

    def receive(self) -> dict[str, Any] | None:
        """The next message, or None when none is complete right now.

        Raises:
            EOFError: the other side is gone (in a child: the arbiter is).
            ValueError: the bytes are not a message; the next one can be received.
        """
        while (end := self._inbox.find(b"\n")) < 0:
            try:
                read = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return None
            except ConnectionResetError:  # it died with unread messages
                read = b""
            if not read:
                raise EOFError("the other end of the channel is closed")
            self._inbox += read
        raw = self._inbox[:end]
        del self._inbox[: end + 1]
        message = json.loads(raw)
        if not isinstance(message, dict):
            raise ValueError(f"expected a JSON object on the channel, found {type(message).__name__}")
        return message

    def messages(self, speaker: str) -> Iterator[dict[str, Any]]:
        """Every message that is here right now; a line that is none is logged and the next one is read.

        Args:
            speaker: The role of the other side, for the log.

        Raises:
            EOFError: the other side is gone; what it had said was given first.
        """
        while True:
            try:
                message = self.receive()
            except ValueError as error:
                _log.warning("message not understood", extra={"role": speaker, "error": str(error)})
                continue
            if message is None:
                return
            yield message

    def close(self) -> None:
        """Close this end; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def readable(fd: int, timeout_s: float) -> bool:
    """Wait until a descriptor has something, or its other end is gone; False when the time is over.

    Any descriptor: `select` takes none above 1023, and an app may have opened thousands of files.
    """
    waiting = select.poll()
    waiting.register(fd, select.POLLIN)
    return bool(waiting.poll(timeout_s * 1000))


def channel_pair() -> tuple[Channel, Channel]:
    """Two connected ends; both close on exec."""
    ours, theirs = socket.socketpair()
    return Channel(ours.detach()), Channel(theirs.detach())
