"""The fake itself: it stays inside this process, and the tests on it are the ones that were meant."""

import socket
from types import ModuleType

import pytest

from asyncq.broker.inspector import RedisInspector
from asyncq.broker.producer import Producer
from asyncq.broker.redis_sync import SyncProducer
from tests.support.fake_redis import FakeRedisServer, on_fake


async def test_nobody_opens_a_socket_when_the_fake_stands_in(
    fake_redis: FakeRedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: opened.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: opened.append(address))
    producer, sync, inspector = (make(fake_redis.settings) for make in (Producer, SyncProducer, RedisInspector))
    await producer.push("q", b"a")
    sync.push("q", b"b")
    assert (await inspector.stats("q")).ready == 2
    assert fake_redis.client.lrange("q", 0, -1) == [b"a", b"b"]
    await producer.close()
    await inspector.close()
    sync.close()
    assert opened == []


def test_exception_is_refused_when_there_is_no_such_test() -> None:
    module = ModuleType("tests.some")
    vars(module).update(test_a=print, test_b=repr, helper=str, reader=pytest.fixture(lambda: None))
    assert set(on_fake(module, {"test_b": "why"}, "x")) == {"test_x_a", "reader"}
    with pytest.raises(AssertionError, match=r"tests.some has no \['test_c'\]"):
        on_fake(module, {"test_c": "why"})
