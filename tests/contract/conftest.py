"""What the contract tests of the broker room share."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.redis_broker import RedisBroker
from asyncq.broker.scripts import NAMES, script
from asyncq.core.doors import Registration
from tests.support import acl, properties
from tests.support.proxy import FaultyProxy

QUEUES = (
    "q",
    "r",
    "other",
    "high",
    "low",
    "{shop}:mail",
    "{shop}:bill",
    "a:scheduled:b",
    "list",
    "first",
    "second",
    "ids",
)
Register = Callable[..., Awaitable[Registration]]

properties.register_profiles()


@pytest.fixture
def acl_users(redis_socket: str) -> None:
    """The users of docs/reference/acl.md on the real server, made anew for the queues of these tests."""
    with redis.Redis(unix_socket_path=redis_socket) as admin:
        acl.make_users(admin, *QUEUES)


@pytest.fixture
def settings(redis_url: str, redis_socket: str, acl_users: None) -> ConnectionSettings:
    """Speaks as the documented worker, so that a command it has no right to fails here and not with an operator."""
    return ConnectionSettings(acl.url(redis_socket, "asyncq-worker"))


@pytest.fixture
async def broker(settings: ConnectionSettings) -> AsyncIterator[RedisBroker]:
    made = RedisBroker(settings)
    yield made
    await made.close()


@pytest.fixture
async def register(broker: RedisBroker) -> AsyncIterator[Register]:
    """`await register(queue="q", through=broker)`: a fresh incarnation, closed after the test."""
    made: list[Registration] = []

    async def enter(queue: str = "q", through: RedisBroker = broker) -> Registration:
        made.append(await through.register(queue, through.incarnation()))
        return made[-1]

    yield enter
    for registration in made:
        await registration.close()


@pytest.fixture
async def proxy(redis_url: str, redis_socket: str, raw_redis: redis.Redis) -> AsyncIterator[FaultyProxy]:
    """The server knows every script: the reply that is lost is that of the script, and not that it is unknown."""
    for name in NAMES:
        raw_redis.script_load(script(name).source)
    async with FaultyProxy(redis_socket) as made:
        yield made


@pytest.fixture
async def far_broker(proxy: FaultyProxy) -> AsyncIterator[RedisBroker]:
    """A broker whose connections go through the proxy."""
    made = RedisBroker(ConnectionSettings(proxy.url, reply_timeout_s=2.0))
    yield made
    await made.close()
