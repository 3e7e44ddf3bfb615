"""A proxy before a Redis, on a TCP port or a unix socket, that does to requests and replies what toxics say.

Used inside a test's event loop; `proxy_process` runs one in a process of its own for fleets. Knows nothing of Redis but
that a client which waits for a reply asks nothing else on that connection.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, Self
from urllib.parse import urlsplit

from tests.support.toxics import Dice, Toxic, Way

CHUNK_BYTES = 1 << 20
CUTS = ("cut", "cut-inside", "reset", "hold")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(target: str) -> Streams:
    """Streams to `unix://path`, a path, or `redis://host:port`."""
    if not target.startswith("redis://"):
        return await asyncio.open_unix_connection(target.removeprefix("unix://"))
    parts = urlsplit(target)
    return await asyncio.open_connection(parts.hostname, parts.port)


class Pump:
    """One direction of one connection: reads, keeps each piece until it is due, writes, and passes the end on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._due: asyncio.Queue[tuple[float, bytes, bool]] = asyncio.Queue()
        self._open = asyncio.Event()
        self._open.set()
        self.deaf = False

    def freeze(self) -> None:
        """Nothing passes until `thaw`; then everything does, in order."""
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    def put(self, data: bytes, delay_s: float = 0.0, sliced: bool = False) -> None:
        """Pass these bytes on (none: the end) after `delay_s`."""
        self._due.put_nowait((asyncio.get_running_loop().time() + delay_s, data, sliced))

    async def read(self, arrived: Callable[[bytes], None]) -> None:
        """Until the end of what comes in; calls `arrived` with each piece, b"" is the end."""
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(CHUNK_BYTES):
                arrived(data)
        arrived(b"")

    async def write(self) -> None:
        """Until the end was passed on."""
        with contextlib.suppress(ConnectionError):
            while True:
                due_at, data, sliced = await self._due.get()
                await asyncio.sleep(max(0.0, due_at - asyncio.get_running_loop().time()))  # sleeps: a slow network
                await self._open.wait()
                if not data:
                    break
                await self._send(data, sliced)
        self._writer.close()

    async def _send(self, data: bytes, sliced: bool) -> None:
        pieces = [data[k : k + 1] for k in range(len(data))] if sliced else [data]
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            if sliced:
                await asyncio.sleep(0)


class Connection:
    """A client's connection and the one to the server that stands for it."""

    def __init__(self, proxy: "ToxicProxy", client: Streams, server: Streams) -> None:
        self._proxy = proxy
        self._writers = (client[1], server[1])
        self.pumps: dict[Way, Pump] = {"up": Pump(client[0], server[1]), "down": Pump(server[0], client[1])}
        self.asked = b""
        self._answered = False
        self._writing: list[asyncio.Future[None]] = []
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def run(self) -> None:
        """Until both directions have ended."""
        up, down = self.pumps["up"], self.pumps["down"]
        self._writing = [asyncio.ensure_future(pump.write()) for pump in (up, down)]
        reading = (up.read(self._requested), down.read(self._replied))
        await asyncio.gather(*reading, *self._writing, return_exceptions=True)
        self.close()

    def end(self) -> None:
        """Close both ends, whatever is still to be delivered."""
        self.close()
        for task in self._writing:
            task.cancel()

    def close(self, reset: bool = False) -> None:
        """Both ends, as FIN or as RST; what waits to be passed on is dropped."""
        for pump in self.pumps.values():
            pump.deaf = True
            pump.thaw()
            pump.put(b"")
        for writer in self._writers:
            if reset and not writer.is_closing():
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            writer.close()

    def _requested(self, data: bytes) -> None:
        self.asked = data if self._answered and data else self.asked + data
        self._answered = False
        self._pass("up", data)

    def _replied(self, data: bytes) -> None:
        self._answered = True
        self._pass("down", data)

    def _pass(self, way: Way, data: bytes) -> None:
        pump = self.pumps[way]
        if pump.deaf:
            return
        struck = self._proxy.dice.throw(way, self.asked) if data else []
        kinds = {toxic.kind for toxic in struck}
        pump.deaf = pump.deaf or "black-hole" in kinds
        if kinds.intersection(CUTS):
            self._cut(pump, data, kinds)
        elif not kinds.intersection(("swallow", "black-hole")):
            pump.put(data, sum(map(self._proxy.dice.delay_s, struck)), "slice" in kinds)

    def _cut(self, pump: Pump, data: bytes, kinds: "set[str]") -> None:
        if "hold" in kinds:
            self._proxy.held.append(data)
        if "cut-inside" in kinds:
            pump.put(data[: len(data) // 2] or data)
            for each in self.pumps.values():
                each.deaf = True
                each.put(b"")
        else:
            self.close(reset="reset" in kinds)


class ToxicProxy:
    """Passes everything through but for what its toxics and its methods do.

    Args:
        target: The server: `unix://path`, the path alone, or `redis://host:port`.
        toxics: See Toxic; `set` changes them.
        listen: "unix" or "tcp".
        seed: Of the dice.

    Attributes:
        url: Where clients connect to.
        held: Requests that a "hold" kept.
        accepted: Connections so far.
    """

    def __init__(
        self, target: str, toxics: Sequence[Toxic] = (), *, listen: Literal["unix", "tcp"] = "unix", seed: int = 0
    ) -> None:
        self.target, self.listen = target, listen
        self.dice = Dice(toxics, seed)
        self.held: list[bytes] = []
        self.accepted = 0
        self.url = ""
        self._open: set[Connection] = set()
        self._serving: set[asyncio.Task[None] | None] = set()
        self._apart = False
        self._folder = ""

    @property
    def struck(self) -> Counter[str]:
        """How often each kind of toxic struck."""
        return self.dice.struck

    async def __aenter__(self) -> Self:
        if self.listen == "unix":
            self._folder = tempfile.mkdtemp(prefix="asyncq-proxy-")
            path = os.path.join(self._folder, "s")
            self._server = await asyncio.start_unix_server(self._serve, path)
            self.url = f"unix://{path}"
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self._open:
            connection.end()
        await asyncio.gather(*(task for task in self._serving if task))
        if self._folder:
            shutil.rmtree(self._folder)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        self.accepted += 1
        try:
            server = await connect(self.target)
        except OSError:
            writer.close()
        else:
            connection = Connection(self, (reader, writer), server)
            self._open.add(connection)
            if self._apart:
                self._freeze(connection)
            await connection.run()
            self._open.discard(connection)
        finally:
            self._serving.discard(asyncio.current_task())

    def _matching(self, marker: bytes) -> list[Connection]:
        """Open connections whose last request holds these bytes."""
        return [connection for connection in self._open if marker in connection.asked]

    def set(self, *toxics: Toxic) -> None:
        """These toxics from now on."""
        self.dice.set(toxics)

    def black_hole(self, marker: bytes = b"", ways: Sequence[Way] = ("up", "down")) -> int:
        """Make open connections half-open: nothing passes any more, not even their end. Returns how many."""
        found = self._matching(marker)
        for connection in found:
            for way in ways:
                connection.pumps[way].deaf = True
                connection.pumps[way].freeze()
        return len(found)

    def cut(self, marker: bytes = b"", reset: bool = False) -> int:
        """Close open connections on both sides. Returns how many."""
        found = self._matching(marker)
        for connection in found:
            connection.close(reset)
        return len(found)

    def part(self) -> None:
        """The network between is cut: nothing passes on any connection, old or new, until `heal`."""
        self._apart = True
        for connection in self._open:
            self._freeze(connection)

    def _freeze(self, connection: Connection) -> None:
        for pump in connection.pumps.values():
            pump.freeze()

    def heal(self) -> None:
        """Everything that was sent meanwhile arrives now, as TCP would send it again."""
        self._apart = False
        for connection in self._open:
            for pump in connection.pumps.values():
                if not pump.deaf:
                    pump.thaw()

    async def release(self) -> None:
        """Deliver the held requests; returns when the server has answered them."""
        while self.held:
            reader, writer = await connect(self.target)
            writer.write(self.held.pop(0))
            await reader.read(CHUNK_BYTES)
            writer.close()
            await writer.wait_closed()
