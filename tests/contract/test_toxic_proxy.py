"""The proxy of the tests does what its toxics say: judged by a client and a server that note every piece they get."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.proxy_process import ProxyProcess
from tests.support.states import until
from tests.support.toxic_proxy import ToxicProxy, connect
from tests.support.toxics import Dice, Toxic, as_json, from_json


class Parrot:
    """A server that answers each piece with `re:` and the same bytes, and notes what it got and how it ended."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.ends: list[str] = []
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while data := await reader.read(1 << 16):
                self.got.append(data)
                writer.write(b"re:" + data)
            self.ends.append("end")
        except ConnectionResetError:
            self.ends.append("reset")
        self.open -= 1
        writer.close()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, data: bytes) -> bytes:
        """What comes back in one go; b"" is the end."""
        self.writer.write(data)
        return await asyncio.wait_for(self.reader.read(1 << 16), 5.0)

    async def hears_nothing(self) -> bool:
        """Still connected, and nothing came. The wait is long for a loop-back connection, and short for a test."""
        try:
            await asyncio.wait_for(self.reader.read(1), 0.05)
        except TimeoutError:
            return True
        return False


Dial = Callable[[], Awaitable[Client]]


@pytest.fixture
async def parrot() -> Parrot:
    return Parrot()


@pytest.fixture(params=["unix", "tcp"])
async def proxy(parrot: Parrot, request: pytest.FixtureRequest) -> AsyncIterator[ToxicProxy]:
    server = await asyncio.start_server(parrot.serve, "127.0.0.1", 0)
    target = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with ToxicProxy(target, listen=request.param) as made:
        yield made
    server.close()
    await until(lambda: parrot.open == 0, what="the proxy leaves no connection")


@pytest.fixture
async def dial(proxy: ToxicProxy) -> AsyncIterator[Dial]:
    """`await dial()`: one more client, closed after the test."""
    made: list[Client] = []

    async def connected() -> Client:
        made.append(Client(*await connect(proxy.url)))
        return made[-1]

    yield connected
    for client in made:
        client.writer.close()
        with contextlib.suppress(ConnectionError):
            await client.writer.wait_closed()


@pytest.fixture
async def client(dial: Dial) -> Client:
    return await dial()


async def test_all_passes_unchanged_and_in_order_without_toxics(proxy: ToxicProxy, client: Client) -> None:
    assert await client.ask(b"a") == b"re:a"
    assert await client.ask(b"b" * 50_000) != b""
    assert proxy.struck == {}


async def test_client_sees_the_end_when_the_server_ends(proxy: ToxicProxy, client: Client, parrot: Parrot) -> None:
    await client.ask(b"a")
    client.writer.close()
    await until(lambda: parrot.ends == ["end"])


@pytest.mark.parametrize("way", ["up", "down"])
async def test_bytes_come_late_and_in_order_with_latency(proxy: ToxicProxy, client: Client, way: str) -> None:
    proxy.set(Toxic(kind="latency", way=way, delay_s=0.03, jitter_s=0.01))  # type: ignore[arg-type]
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await client.ask(b"a") == b"re:a"
    assert 0.03 <= loop.time() - began


async def test_request_is_carried_out_when_nobody_waits_for_it_any_more(
    proxy: ToxicProxy, client: Client, parrot: Parrot
) -> None:
    proxy.set(Toxic(kind="latency", way="up", delay_s=0.1))
    client.writer.write(b"late")
    await until(lambda: proxy.struck["latency"] == 1)
    client.writer.close()
    assert parrot.got == []
    await until(lambda: parrot.got == [b"late"])
    await until(lambda: len(parrot.ends) == 1)


async def test_server_carries_it_out_and_client_hears_nothing_when_cut_before_the_reply(
    proxy: ToxicProxy, client: Client, dial: Dial, parrot: Parrot
) -> None:
    proxy.set(Toxic(kind="cut", way="down", marker=b"this", limit=1))
    assert await client.ask(b"other") == b"re:other"
    assert await client.ask(b"this") == b""
    assert parrot.got == [b"other", b"this"]
    await until(lambda: len(parrot.ends) == 1)
    assert await (await dial()).ask(b"this") == b"re:this"


async def test_server_hears_nothing_when_the_request_is_cut(proxy: ToxicProxy, client: Client, parrot: Parrot) -> None:
    proxy.set(Toxic(kind="cut", way="up"))
    assert await client.ask(b"a") == b""
    await until(lambda: len(parrot.ends) == 1)
    assert parrot.got == []


async def test_half_of_the_reply_comes_when_cut_inside(proxy: ToxicProxy, client: Client, parrot: Parrot) -> None:
    proxy.set(Toxic(kind="cut-inside", way="down"))
    assert await client.ask(b"12345") == b"re:1"
    assert await client.reader.read() == b""
    assert parrot.got == [b"12345"]
    await until(lambda: len(parrot.ends) == 1)


async def test_connection_is_reset_not_ended(proxy: ToxicProxy, client: Client) -> None:
    proxy.set(Toxic(kind="reset", way="up"))
    if proxy.listen == "tcp":
        with pytest.raises(ConnectionResetError):
            await client.ask(b"a")
    else:  # a unix socket knows no reset, unless something was left unread
        assert await client.ask(b"a") == b""


async def test_bytes_come_one_by_one_with_the_slicer(proxy: ToxicProxy, client: Client, parrot: Parrot) -> None:
    proxy.set(Toxic(kind="slice", way="up"))
    client.writer.write(b"abcdefgh")
    await until(lambda: b"".join(parrot.got) == b"abcdefgh")
    assert len(parrot.got) > 1  # how many the other side reads together is its own affair


async def test_later_requests_pass_when_one_was_swallowed(proxy: ToxicProxy, client: Client, parrot: Parrot) -> None:
    proxy.set(Toxic(kind="swallow", way="up", marker=b"x", limit=1))
    client.writer.write(b"x")
    await until(lambda: proxy.struck["swallow"] == 1)
    assert await client.ask(b"y") == b"re:y"
    assert parrot.got == [b"y"]


async def test_nothing_passes_through_a_black_hole_not_even_the_end(
    proxy: ToxicProxy, client: Client, dial: Dial, parrot: Parrot
) -> None:
    await client.ask(b"a")
    assert proxy.black_hole(b"other") == 0
    assert proxy.black_hole(b"a") == 1
    client.writer.write(b"b")
    assert await client.hears_nothing()
    client.writer.close()
    assert await (await dial()).ask(b"c") == b"re:c"
    assert (parrot.got, parrot.ends) == ([b"a", b"c"], [])


async def test_server_still_hears_when_only_replies_are_lost(proxy: ToxicProxy, client: Client, parrot: Parrot) -> None:
    proxy.set(Toxic(kind="black-hole", way="down", limit=1))
    client.writer.write(b"a")
    await until(lambda: parrot.got == [b"a"])
    client.writer.write(b"b")
    await until(lambda: b"".join(parrot.got) == b"ab")
    assert await client.hears_nothing()


async def test_everything_arrives_after_a_partition(
    proxy: ToxicProxy, client: Client, dial: Dial, parrot: Parrot
) -> None:
    await client.ask(b"a")
    proxy.part()
    client.writer.write(b"b")
    late = await dial()
    late.writer.write(b"c")
    assert await client.hears_nothing()
    assert parrot.got == [b"a"]
    proxy.heal()
    assert await asyncio.wait_for(client.reader.read(100), 5.0) == b"re:b"
    assert await asyncio.wait_for(late.reader.read(100), 5.0) == b"re:c"


async def test_connections_are_cut_by_what_they_last_asked(proxy: ToxicProxy, client: Client, dial: Dial) -> None:
    other = await dial()
    await client.ask(b"BLMOVE")
    await other.ask(b"PING")
    assert proxy.cut(b"BLMOVE") == 1
    assert await asyncio.wait_for(client.reader.read(1), 5.0) == b""
    assert await other.ask(b"again") == b"re:again"


async def test_client_is_refused_when_the_server_is_away() -> None:
    async with ToxicProxy("unix:///nowhere/s") as proxy:
        reader, writer = await connect(proxy.url)
        assert await reader.read() == b""
        writer.close()


def test_dice_strike_about_as_often_as_they_should_and_alike_with_one_seed() -> None:
    seed = Random().getrandbits(32)
    toxics = [Toxic(kind="cut", way="down", share=0.01), Toxic(kind="latency", way="up", share=0.5)]

    def throws() -> list[int]:
        dice = Dice(toxics, seed)
        return [len(dice.throw("down", b"")) for _ in range(20_000)]

    assert throws() == throws(), seed
    assert 120 < sum(throws()) < 280, seed


@pytest.mark.parametrize("fields", [{"kind": "melt", "way": "up"}, {"kind": "hold", "way": "down"}])
def test_toxic_that_cannot_be_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Toxic(**fields)  # type: ignore[arg-type]


def test_toxic_is_the_same_in_another_process() -> None:
    toxic = Toxic(kind="latency", way="up", share=0.25, marker=b"\r\n\xff", limit=3, delay_s=0.5, jitter_s=0.25)
    assert from_json(as_json(toxic)) == toxic


@pytest.mark.parametrize("listen", ["unix", "tcp"])
def test_proxy_in_a_process_of_its_own_obeys(redis_url: str, listen: str) -> None:
    never = Retry(NoBackoff(), 0)
    with (
        ProxyProcess(redis_url, listen=listen) as proxy,  # type: ignore[arg-type]
        redis.Redis.from_url(proxy.url, socket_timeout=10, retry=never) as client,
    ):
        assert client.ping()
        assert proxy.accepted() == 1
        proxy.set(Toxic(kind="cut", way="down", marker=b"INCR", limit=1))
        with pytest.raises(redis.ConnectionError):
            client.incr("a")
        assert client.get("a") == b"1"
        assert proxy.struck() == {"cut": 1}
        assert proxy.black_hole("PING") == 0
        assert proxy.cut() == 1
        proxy.set()
        proxy.part()
        proxy.heal()
        assert client.incr("a") == 2
        client.delete("a")
