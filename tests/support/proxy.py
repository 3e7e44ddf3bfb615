"""A proxy on a unix socket that loses replies and delays or swallows requests, to see what a client makes of it."""

import asyncio
import os
import shutil
import tempfile
from dataclasses import dataclass, field

CHUNK_BYTES = 1 << 20


@dataclass
class FaultyProxy:
    """Passes everything through until told otherwise. A fault strikes at the next request with these bytes, once.

    Attributes:
        target: Path of the server's socket.
        path: Path of the proxy's own socket.
        lose_reply_to: The server carries it out, its reply is dropped and the client's connection cut.
        lose_every_reply_to: The same, again and again.
        lost: How many replies were dropped.
        hold_request: It is kept and the client's connection cut; `release` delivers it to the server.
        swallow_request: Nobody ever hears of it again; the connection stays open.
    """

    target: str
    path: str = ""
    lose_reply_to: bytes = b""
    lose_every_reply_to: bytes = b""
    lost: int = 0
    hold_request: bytes = b""
    swallow_request: bytes = b""
    _held: list[bytes] = field(default_factory=list)
    _folder: str = ""
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _serving: set["asyncio.Task[None] | None"] = field(default_factory=set)

    async def __aenter__(self) -> "FaultyProxy":
        self._folder = tempfile.mkdtemp(prefix="asyncq-proxy-")
        self.path = os.path.join(self._folder, "s")
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.close()
        await asyncio.gather(*(task for task in self._serving if task))
        shutil.rmtree(self._folder)

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    async def release(self) -> None:
        """Deliver the held requests; returns when the server has answered them."""
        while self._held:
            reader, writer = await asyncio.open_unix_connection(self.target)
            writer.write(self._held.pop(0))
            await reader.read(CHUNK_BYTES)
            writer.close()
            await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        server_reader, server_writer = await asyncio.open_unix_connection(self.target)
        self._open |= {writer, server_writer}
        replies = asyncio.create_task(self._copy(server_reader, writer))
        try:
            while request := await reader.read(CHUNK_BYTES):
                if self._strikes("hold_request", request):
                    self._held.append(request)
                    break
                if self._strikes("lose_reply_to", request) or self._strikes("lose_every_reply_to", request):
                    replies.cancel()
                    await asyncio.wait([replies])  # a stream has one reader at a time
                    server_writer.write(request)
                    await server_reader.read(CHUNK_BYTES)
                    self.lost += 1
                    break
                if not self._strikes("swallow_request", request):
                    server_writer.write(request)
                    await server_writer.drain()
        except ConnectionError:
            pass
        finally:
            for end in (writer, server_writer):
                end.close()
                self._open.discard(end)
            await asyncio.wait([replies])
            self._serving.discard(asyncio.current_task())

    def _strikes(self, fault: str, request: bytes) -> bool:
        marker = getattr(self, fault)
        if not marker or marker not in request:
            return False
        if fault != "lose_every_reply_to":
            setattr(self, fault, b"")
        return True

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK_BYTES):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()
