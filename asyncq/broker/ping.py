"""One PING over a plain socket: does a Redis answer at this address, and what does it say?

Called where a client library would be too much: before the supervisor starts, and while an embedded server
comes up. Never keeps a connection and never authenticates.
"""

from __future__ import annotations

import socket

TcpAddress = tuple[str, int]


def ping(address: str | TcpAddress, timeout_s: float) -> str:
    """The first line of the reply, such as `+PONG`, `-NOAUTH ...` or `-LOADING ...`; "" if nothing answers.

    Args:
        address: Path of a unix socket, or (host, port).
        timeout_s: Seconds for connecting and again for the reply.

    Cost: 1 PING.
    """
    try:
        with _connected(address, timeout_s) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(256).partition(b"\r\n")[0].decode("latin-1")
    except OSError:
        return ""


def _connected(address: str | TcpAddress, timeout_s: float) -> socket.socket:
    if not isinstance(address, str):
        return socket.create_connection(address, timeout_s)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout_s)
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection
