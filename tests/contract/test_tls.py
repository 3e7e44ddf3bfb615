"""Redis over TLS: who is trusted, who is not, and what people are told then."""

import asyncio
from pathlib import Path

import pytest

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.inspector import RedisInspector
from asyncq.broker.producer import Producer
from asyncq.broker.redis_broker import RedisBroker
from asyncq.broker.redis_sync import SyncProducer
from asyncq.core.doors import Batch
from asyncq.core.errors import BrokerError, BrokerRefusedError, BrokerUnavailableError
from tests.support import acl
from tests.support.states import until
from tests.support.tls import HOST, OTHER_HOST, TlsServer

SECRET = "s3cret-Pass"
CERTIFICATE = "check ssl_ca_certs and the name of the host in the URL"
OTHER_PROTOCOL = (
    "is it running there, with TLS (rediss://) or without (redis://), and does it want a client certificate?"
)


async def refusals(url: str, kind: type[BrokerError] = BrokerUnavailableError, timeout_s: float = 5.0) -> list[str]:
    """What a producer in asyncio and one in a thread are told, each in one sentence without the secret."""
    settings = ConnectionSettings(url, connect_timeout_s=timeout_s, reply_timeout_s=timeout_s)
    producer, sync = Producer(settings), SyncProducer(settings)
    said = []
    with pytest.raises(kind) as caught:
        await producer.push("q", b"a")
    said.append(str(caught.value))
    with pytest.raises(kind) as caught:
        await asyncio.to_thread(sync.push, "q", b"a")
    said.append(str(caught.value))
    await producer.close()
    sync.close()
    assert [sentence for sentence in said if SECRET in sentence or "\n" in sentence] == []
    return said


async def test_message_lives_its_life_when_the_certificate_is_right(tls: TlsServer) -> None:
    settings = ConnectionSettings(tls.url(ssl_ca_certs=tls.files.ca))
    producer, sync, broker, inspector = (
        make(settings) for make in (Producer, SyncProducer, RedisBroker, RedisInspector)
    )
    registration = await broker.register("q", broker.incarnation())
    bell = asyncio.ensure_future(registration.wait(30.0))
    await until(lambda: any("b" in row["flags"] for row in tls.admin.client_list()))
    await producer.push("q", b"a")
    assert await bell is True
    await asyncio.to_thread(sync.push_many, "q", [b"b" * 300_000, b"c"])
    assert (await inspector.stats("q")).ready == 2
    taken = await registration.exchange(Batch(), 5, 0)
    assert list(taken.raws) == [b"a", b"b" * 300_000, b"c"]
    await registration.exchange(Batch(completed=[*taken.tokens]), 0, 0)
    waiting = asyncio.ensure_future(registration.wait(30.0))
    await until(lambda: any("b" in row["flags"] for row in tls.admin.client_list()))
    await registration.wake()
    assert await asyncio.wait_for(waiting, 5.0) is False
    assert await registration.withdraw() == 0
    for end in (registration, producer, broker, inspector):
        await end.close()
    sync.close()
    assert tls.admin.dbsize() == 0


async def test_connection_is_refused_when_nobody_here_knows_the_authority(tls: TlsServer) -> None:
    known_elsewhere = tls.url(user=f"u:{SECRET}", ssl_ca_certs=tls.files.other_ca)
    for url in (known_elsewhere, tls.url(user=f"u:{SECRET}")):  # the second: what the system trusts
        for said in await refusals(url):
            assert said.startswith(f"cannot reach Redis at rediss://***@{HOST}:{tls.port}/0")
            assert "certificate verify failed" in said
            assert said.endswith(CERTIFICATE)
    assert tls.admin.dbsize() == 0


async def test_connection_is_refused_when_the_certificate_names_another_host(tls: TlsServer) -> None:
    for said in await refusals(tls.url(host=OTHER_HOST, user=f"u:{SECRET}", ssl_ca_certs=tls.files.ca)):
        assert f"not valid for '{OTHER_HOST}'" in said
        assert said.endswith(CERTIFICATE)
    producer = Producer(ConnectionSettings(tls.url(host=OTHER_HOST, ssl_cert_reqs="none")))
    await producer.push("q", b"a")  # unless the URL says that nothing is to be verified
    await producer.close()


async def test_sentence_tells_what_to_look_at_when_only_one_side_speaks_tls(
    tls: TlsServer,
) -> None:
    in_clear = tls.url(scheme="redis", user=f"u:{SECRET}")
    to_clear = f"rediss://u:{SECRET}@{HOST}:{tls.clear_port}/0"
    found = [*await refusals(in_clear), *await refusals(to_clear, timeout_s=0.3)]  # that port waits in silence
    assert [said for said in found if not said.endswith(OTHER_PROTOCOL)] == []


async def test_client_is_let_in_only_with_its_certificate_when_the_server_wants_one(tls: TlsServer) -> None:
    tls.ask_for_certificates(True)
    for said in await refusals(tls.url(user=f"u:{SECRET}", ssl_ca_certs=tls.files.ca)):
        assert said.endswith(OTHER_PROTOCOL)
    own = {"ssl_certfile": tls.files.client, "ssl_keyfile": tls.files.client}
    settings = ConnectionSettings(tls.url(ssl_ca_certs=tls.files.ca, **own))
    producer, sync = Producer(settings), SyncProducer(settings)
    await producer.push("q", b"a")
    await asyncio.to_thread(sync.push, "q", b"b")
    assert tls.admin.lrange("q", 0, -1) == [b"a", b"b"]
    await producer.close()
    sync.close()


async def test_users_keep_their_rights_when_they_come_over_tls(tls: TlsServer) -> None:
    acl.make_users(tls.admin, "q")
    user = f"asyncq-producer:{acl.PASSWORD}"
    producer = Producer(ConnectionSettings(tls.url(user=user, ssl_ca_certs=tls.files.ca)))
    await producer.push("q", b"a")
    with pytest.raises(BrokerRefusedError, match="permissions"):
        await producer.push("elsewhere", b"a")
    await producer.close()
    wrong = tls.url(user=f"asyncq-producer:wrong{SECRET}", ssl_ca_certs=tls.files.ca)
    for said in await refusals(wrong, BrokerRefusedError):
        assert "refused: invalid username-password pair" in said


async def test_sentence_names_the_file_when_there_is_no_such_authority(tls: TlsServer, tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    for said in await refusals(tls.url(user=f"u:{SECRET}", ssl_ca_certs=missing)):
        assert "No such file" in said
        assert "ca.pem" in said
