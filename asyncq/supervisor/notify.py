"""Tells systemd how the supervisor is doing (sd_notify): READY, STATUS, STOPPING.

Called by the arbiter. Does nothing without an address; never waits, never fails: a service manager that does not
listen is no reason to stop supervising.
"""

from __future__ import annotations

import contextlib
import socket


class Notifier:
    """Sends datagrams to the notification socket.

    Args:
        address: A path, or `@name` for an abstract socket; empty means nobody listens.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def send(self, *lines: str) -> None:
        """One notification, for example `send("READY=1", "STATUS=4 workers ready")`."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), self._address)
