"""What the handlers talk to: a mail server and an HTTP receiver on one event loop, both counting.

Run by `__main__` and by tests. POST /analytics always takes; POST /crm answers 503 to the first delivery of
about one event in ten; GET /counts tells what arrived. Keeps no mail and no record beyond their event ids.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, cast

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asyncq.core.errors import ConfigurationError, PortBusyError
from examples.signup.ledger import Ledger

KEEP_ALIVE_S: Final = 60  # longer than the clients' own: a connection they reuse is never just being closed
MAIL_LIMIT_BYTES: Final = 1024 * 1024

_EVENT_ID: Final = re.compile(rb"^X-Event-Id: *(\S+)", re.MULTILINE | re.IGNORECASE)
_MAILER: Final = re.compile(rb"^X-Mailer: *([^\r\n]+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sinks:
    """Running sinks.

    Attributes:
        smtp_port, http_port: Where they listen (the real ones when 0 was asked for).
        ledger: What arrived so far.
    """

    smtp_port: int
    http_port: int
    ledger: Ledger


@asynccontextmanager
async def running_sinks(
    ledger: Ledger, *, host: str = "127.0.0.1", smtp_port: int = 0, http_port: int = 0
) -> AsyncIterator[Sinks]:
    """Both sinks while the block runs. Port 0 takes any free one.

    Raises:
        PortBusyError: one of the ports is taken; nothing was started.
    """
    async with AsyncExitStack() as stack:
        smtp_socket = stack.enter_context(listening(host, smtp_port, "--smtp-port"))
        http_socket = stack.enter_context(listening(host, http_port, "--http-port"))
        await stack.enter_async_context(_smtp(smtp_socket, ledger))
        await stack.enter_async_context(_http(http_socket, ledger))
        yield Sinks(smtp_port=smtp_socket.getsockname()[1], http_port=http_socket.getsockname()[1], ledger=ledger)


@contextmanager
def listening(host: str, port: int, flag: str) -> Iterator[socket.socket]:
    """A socket that accepts connections.

    Raises:
        PortBusyError: the port is taken.
        ConfigurationError: `host` is no IPv4 address of this machine.
    """
    # IPPROTO_TCP by name: asyncio turns Nagle's delay off only on sockets that say so.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
            sock.listen(512)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise PortBusyError(
                    f"cannot listen on {host}:{port} ({error.strerror}); "
                    f"end what uses it or choose another port with {flag}"
                ) from None
            raise ConfigurationError(
                f"--host: expected an IPv4 address of this machine, found {host!r} ({error.strerror})"
            ) from None
        yield sock


class _Mailbox:
    """aiosmtpd's handler: counts a mail by its X-Event-Id."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        found = _EVENT_ID.search(content)
        if not found:
            return "550 5.6.0 expected the header X-Event-Id, found none"
        mailer = _MAILER.search(content)
        agent = mailer.group(1).decode("ascii", "replace") if mailer else ""
        self._ledger.delivered("email", found.group(1).decode("ascii", "replace"), agent)
        return "250 2.0.0 Ok"


@asynccontextmanager
async def _smtp(sock: socket.socket, ledger: Ledger) -> AsyncIterator[None]:
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd tells every command at INFO
    mailbox = _Mailbox(ledger)
    loop = asyncio.get_running_loop()
    open_transports: set[asyncio.Transport] = set()

    class Conversation(SMTP):
        """One connection; remembered while it is open, so that the sink can end it."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.accepted = cast(asyncio.Transport, transport)
            open_transports.add(self.accepted)
            super().connection_made(transport)

        def connection_lost(self, error: Exception | None) -> None:
            open_transports.discard(self.accepted)
            super().connection_lost(error)

    def conversation() -> SMTP:
        return Conversation(mailbox, hostname="sink.example.com", data_size_limit=MAIL_LIMIT_BYTES, loop=loop)

    server = await loop.create_server(conversation, sock=sock)
    try:
        yield
    finally:
        server.close()
        for transport in list(open_transports):
            transport.abort()
        await server.wait_closed()


class _QuietServer(uvicorn.Server):
    """A uvicorn that leaves the process's signals to the program it is embedded in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _http(sock: socket.socket, ledger: Ledger) -> AsyncIterator[None]:
    config = uvicorn.Config(
        receiver(ledger),
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
    )
    server = _QuietServer(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]), name="http sink")  # owned by this block
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.001)
        yield
    finally:
        server.should_exit = True
        await serving


def receiver(ledger: Ledger) -> Starlette:
    """The HTTP side as an ASGI app: POST /analytics, POST /crm, GET /counts."""

    async def analytics(request: Request) -> Response:
        return await _take(request, ledger, "analytics")

    async def crm(request: Request) -> Response:
        if ledger.refuse(request.headers.get("x-event-id", "")):
            await request.body()
            return Response(status_code=503, headers={"Retry-After": "1"})
        return await _take(request, ledger, "crm")

    async def counts(request: Request) -> Response:
        return JSONResponse(ledger.counts())

    return Starlette(
        routes=[
            Route("/analytics", analytics, methods=["POST"]),
            Route("/crm", crm, methods=["POST"]),
            Route("/counts", counts, methods=["GET"]),
        ]
    )


async def _take(request: Request, ledger: Ledger, channel: str) -> Response:
    await request.body()  # read it all, or the connection cannot be used again
    event_id = request.headers.get("x-event-id")
    if not event_id:
        return JSONResponse({"detail": "expected the header X-Event-Id, found none"}, status_code=400)
    ledger.delivered(channel, event_id, request.headers.get("user-agent", ""))
    return Response(status_code=204)
