"""A tiny service manager: a notification socket that says who sent what, and when."""

from __future__ import annotations

import queue
import socket
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_ENOUGH = b"enough"


@dataclass(frozen=True)
class Notification:
    """One datagram."""

    pid: int
    at_mono: float
    lines: list[str]

    def value(self, name: str) -> str | None:
        """Of `NAME=value`."""
        return next((line.partition("=")[2] for line in self.lines if line.startswith(f"{name}=")), None)


class ServiceManager:
    """Listens at `address`, which belongs into NOTIFY_SOCKET.

    A thread reads: the kernel keeps only a few datagrams that nobody has read, and drops the others.
    """

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(self.address)
        self._heard: queue.Queue[Notification] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            said, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(struct.calcsize("3i")))
            if said == _ENOUGH:
                return
            ((_, _, credentials),) = ancillary
            pid = struct.unpack("3i", credentials)[0]
            self._heard.put(Notification(pid, time.monotonic(), said.decode().splitlines()))

    def hear(self, timeout_s: float = 20.0) -> Notification:
        """The next notification.

        Raises:
            TimeoutError: there is none.
        """
        try:
            return self._heard.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError(f"nothing was said within {timeout_s} s") from None

    def hear_of(self, name: str, beginning: str = "", timeout_s: float = 20.0) -> Notification:
        """The next one with `name` whose value begins so; what comes before it is passed over."""
        end = time.monotonic() + timeout_s
        while True:
            heard = self.hear(max(0.01, end - time.monotonic()))
            value = heard.value(name)
            if value is not None and value.startswith(beginning):
                return heard

    def rest(self) -> list[Notification]:
        """What has been sent and not heard yet."""
        found = []
        try:
            while True:
                found.append(self.hear(0.01))
        except TimeoutError:
            return found

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(_ENOUGH, self.address)
        self._reader.join()
        self._socket.close()
