"""What a real server can lose, asked of it as it is set up; one test per kind of answer."""

from collections.abc import Callable, Iterator

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.durability import Finding, ask
from asyncq.core.errors import BrokerRefusedError, BrokerUnavailableError
from tests.support import acl
from tests.support.cluster import Cluster

NOTHING_KEPT = Finding(
    True, "persists nothing: when it ends, every message and every result is lost; set appendonly yes"
)
Configure = Callable[..., None]


@pytest.fixture
def configure(raw_redis: redis.Redis) -> Iterator[Configure]:
    """`configure(save="3600 1")`: change settings of the server until the test ends."""
    before: dict[str, str] = {}

    def change(**wanted: str) -> None:
        for name, value in wanted.items():
            name = name.replace("_", "-")
            before.setdefault(name, raw_redis.config_get(name)[name])
            raw_redis.config_set(name, value)

    yield change
    for name, value in before.items():
        raw_redis.config_set(name, value)


async def texts(url: str) -> list[tuple[bool, str]]:
    return [(finding.warning, finding.text) for finding in await ask(ConnectionSettings(url))]


async def test_server_without_persistence(redis_url: str) -> None:
    assert await ask(ConnectionSettings(redis_url)) == [NOTHING_KEPT]


async def test_server_with_an_append_only_file(redis_url: str, configure: Configure) -> None:
    configure(appendonly="yes")
    ((warning, text),) = await texts(redis_url)
    assert not warning
    assert text.endswith("during an fsync (appendonly yes, appendfsync everysec)")


async def test_server_with_snapshots(redis_url: str, configure: Configure) -> None:
    configure(save="900 1 60 1000")
    ((warning, text),) = await texts(redis_url)
    assert not warning
    assert "up to 900 s of work and less when much is written (save 900 1 60 1000)" in text


async def test_server_that_evicts(redis_url: str, configure: Configure) -> None:
    configure(maxmemory="100mb", maxmemory_policy="allkeys-lru")
    (first, second) = await texts(redis_url)
    assert first == (True, NOTHING_KEPT.text)
    assert second[0] is True
    assert second[1].endswith("when its 104857600 bytes are full (maxmemory-policy allkeys-lru); set it to noeviction")


async def test_server_asked_by_the_user_with_the_documented_rights(settings: ConnectionSettings) -> None:
    (found,) = await ask(settings)
    assert found == Finding(
        True,
        "loses all since its last snapshot when it dies, or everything if it makes none "
        "(this user has no right to CONFIG GET); set appendonly yes",
    )


async def test_server_asked_by_a_user_without_info(redis_socket: str, acl_users: None) -> None:
    found = await ask(ConnectionSettings(acl.url(redis_socket, "asyncq-producer")))
    assert found == [Finding(False, "does not say what it can lose: this user has no right to INFO")]


async def test_nothing_is_said_of_a_server_that_refuses_the_user(redis_socket: str, acl_users: None) -> None:
    with pytest.raises(BrokerRefusedError):
        await ask(ConnectionSettings(acl.url(redis_socket, "asyncq-worker", "wrong")))


async def test_nothing_is_said_of_a_server_that_is_away() -> None:
    with pytest.raises(BrokerUnavailableError):
        await ask(ConnectionSettings("unix:///nowhere/s"))


async def test_cluster_answers_for_any_of_its_nodes(cluster: Cluster) -> None:
    (found,) = await ask(ConnectionSettings(cluster.url))
    assert found.warning
    assert found.text == NOTHING_KEPT.text
