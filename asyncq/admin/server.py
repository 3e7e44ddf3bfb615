"""Serves the application on a listening socket that the supervisor made.

Called by the main function of the admin process, which owns the signals and sets `stop`. Writes no access log,
installs no signal handler, and never waits longer than two seconds for a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

_GRACE_S: Final = 1


class _Server(uvicorn.Server):
    """uvicorn, told to stop by an event instead of by signals."""

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event) -> None:
        super().__init__(config)
        self._stop = stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        return await super().on_tick(counter) or self._stop.is_set()


async def serve(app: ASGIApp, sock: socket.socket, stop: asyncio.Event) -> None:
    """Answer requests until `stop` is set, then finish those that run.

    Args:
        app: From `admin.app.create_app`.
        sock: Listening; closed in this process at the end, in others it goes on listening.
        stop: Ends serving within 2 seconds: idle connections are closed at once, answers still being written get
            one second.
    """
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        log_level="warning",
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, stop)
    try:
        await server.serve(sockets=[sock])
    finally:
        _let_go(server)
    if server.server_state.tasks:  # cancelled by uvicorn, which does not wait for their end
        await asyncio.wait(server.server_state.tasks, timeout=_GRACE_S / 2)


def _let_go(server: uvicorn.Server) -> None:
    """Drop what uvicorn leaves open when a client does not read or `serve` is cancelled."""
    for listener in getattr(server, "servers", []):
        listener.close()
    for connection in list(server.server_state.connections):
        connection.transport.abort()
