"""The process's open connections to the mail server and the HTTP services, shared by all of its handlers.

Called by `tasks`. Made on first use in the running loop, never at import: a worker forks after importing the
app. No hook runs when a worker stops yet, so there they end with the process (the kernel closes the sockets);
any other program, such as a test, calls `close_outgoing`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiosmtplib
import httpx

from examples.signup.settings import Downstreams, read_downstreams

# Per process. More do not make it faster: httpx looks at every connection for every request.
SMTP_CONNECTIONS: Final = 6
HTTP_CONNECTIONS: Final = 8
CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 10.0
# Waiting for a free connection is waiting for our own other handlers: it may take longer than an answer.
POOL_TIMEOUT_S: Final = 20.0


class SmtpPool:
    """Up to `size` open connections to one mail server; one mail at a time on each."""

    def __init__(self, host: str, port: int, size: int = SMTP_CONNECTIONS) -> None:
        self._host = host
        self._port = port
        self._free = asyncio.Semaphore(size)
        self._idle: deque[aiosmtplib.SMTP] = deque()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """A connected client for one mail.

        It goes back to the pool when the block succeeded. After any error it is closed: nobody knows then how
        far the server thinks the conversation is.
        """
        async with self._free:
            client = self._idle.pop() if self._idle else self._new()
            try:
                if not client.is_connected:
                    await client.connect()
                yield client
            except BaseException:
                client.close()
                raise
            self._idle.append(client)

    def _new(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            timeout=READ_TIMEOUT_S,
            local_hostname="localhost",  # the default asks the resolver, which may hang
        )

    async def close(self) -> None:
        """Say QUIT on every idle connection and close it."""
        while self._idle:
            client = self._idle.pop()
            if client.is_connected:
                await client.quit()


class Outgoing:
    """Both kinds of connections, bound to the loop they were made in.

    Attributes:
        agent: What every delivery says about its sender: the process's id, to tell workers apart.
    """

    def __init__(self, downstreams: Downstreams) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells every request at INFO
        self.loop = asyncio.get_running_loop()
        self.agent = f"signup-example pid={os.getpid()}"
        self.smtp = SmtpPool(downstreams.smtp_host, downstreams.smtp_port)
        self.http = httpx.AsyncClient(
            base_url=downstreams.http_url,
            headers={"User-Agent": self.agent},
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=POOL_TIMEOUT_S),
            limits=httpx.Limits(max_connections=HTTP_CONNECTIONS, max_keepalive_connections=HTTP_CONNECTIONS),
            trust_env=False,  # a proxy meant for the browser must not see deliveries
        )


_outgoing: Outgoing | None = None


def outgoing() -> Outgoing:
    """The connections of the running loop, made on the first call.

    Raises:
        ConfigurationError: SIGNUP_SMTP or SIGNUP_HTTP is not an address.
    """
    global _outgoing
    if _outgoing is None or _outgoing.loop is not asyncio.get_running_loop():
        _outgoing = Outgoing(read_downstreams())
    return _outgoing


async def close_outgoing() -> None:
    """Close the running loop's connections; harmless when there are none."""
    global _outgoing
    mine, _outgoing = _outgoing, None
    if mine is not None and mine.loop is asyncio.get_running_loop():
        await mine.http.aclose()
        await mine.smtp.close()
