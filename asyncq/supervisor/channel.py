"""JSON messages between the arbiter and one child over a SEQPACKET socket pair.

The spawner makes the pair; each side holds one end as a bare descriptor, so that no object of the parent closes a
descriptor of the child when it is collected. Never blocks: what the other side does not read yet waits in `send`'s
outbox until `flush`.
"""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from typing import Any, Final

# One packet holds a mark and a piece of a message; a message may have any number of pieces.
_PIECE_BYTES: Final = 32 * 1024
_MORE: Final = b"+"
_LAST: Final = b"."


class Channel:
    """One end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._outbox: deque[bytes] = deque()
        self._pieces: list[bytes] = []
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
        raw = json.dumps(message, separators=(",", ":")).encode()
        starts = range(0, len(raw), _PIECE_BYTES)
        for start in starts:
            mark = _LAST if start == starts[-1] else _MORE
            self._outbox.append(mark + raw[start : start + _PIECE_BYTES])
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as it fits. Raises as `send` does."""
        while self._outbox:
            try:
                os.write(self._fd, self._outbox[0])
            except BlockingIOError:
                return
            self._outbox.popleft()

    def receive(self) -> dict[str, Any] | None:
        """The next message, or None when none is complete right now.

        Raises:
            EOFError: the other side is gone (in a child: the arbiter is).
            ValueError: the bytes are not a message; the next one can be received.
        """
        while True:
            try:
                packet = os.read(self._fd, _PIECE_BYTES + 1)
            except BlockingIOError:
                return None
            except ConnectionResetError:  # it died with unread messages
                packet = b""
            if not packet:
                raise EOFError("the other end of the channel is closed")
            self._pieces.append(packet[1:])
            if packet[:1] == _LAST:
                return self._complete()

    def _complete(self) -> dict[str, Any]:
        raw = b"".join(self._pieces)
        self._pieces = []
        message = json.loads(raw)
        if not isinstance(message, dict):
            raise ValueError(f"expected a JSON object on the channel, found {type(message).__name__}")
        return message

    def close(self) -> None:
        """Close this end; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def channel_pair() -> tuple[Channel, Channel]:
    """Two connected ends; both close on exec."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours.detach()), Channel(theirs.detach())
