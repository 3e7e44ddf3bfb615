"""The users of docs/reference/acl.md: each has the rights it needs, no right it does not use, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
import redis

from asyncq.broker import durability
from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.inspector import RedisInspector
from asyncq.broker.keys import queue_keys
from asyncq.broker.producer import Producer
from asyncq.broker.pushes import Push
from asyncq.broker.redis_broker import RedisBroker
from asyncq.broker.redis_sync import SyncProducer
from asyncq.broker.server_version import server_version
from asyncq.broker.sync_wire import OneSyncWire
from asyncq.broker.wire import AsyncWire
from asyncq.core.doors import Batch, Reaped
from asyncq.core.errors import BrokerRefusedError
from asyncq.core.settlement import COMPLETE, RELEASE, DeadLetter, Reschedule
from tests.support import acl
from tests.support.accused import accuse
from tests.support.states import until

KEYS = queue_keys("q")
NOTHING = Batch()
REFUSED = r"refused: .*permissions.*; check the credentials, the rights and the key's type$"
# Commands that the test itself uses, and those that a user may always use or that only newer servers know.
BESIDE = {
    "config|resetstat",
    "config|get",
    "acl|log",
    "client|list",
    "copy",
    "hincrby",
    "unlink",
    "auth",
    "client|setinfo",
}
As = Callable[[str], ConnectionSettings]


@pytest.fixture
def as_user(redis_url: str, redis_socket: str, acl_users: None) -> As:
    return lambda user: ConnectionSettings(acl.url(redis_socket, user))


@pytest.fixture
def refused(raw_redis: redis.Redis, acl_users: None) -> Iterator[Callable[[], list[str]]]:
    """What the server has refused since the test began."""
    raw_redis.acl_log_reset()
    yield lambda: [row["object"] for row in raw_redis.acl_log()]
    raw_redis.acl_log_reset()


async def enqueue(settings: ConnectionSettings) -> None:
    """Everything producers do: push from asyncio and from threads, ask a connection that was idle before using it."""
    producer, sync = Producer(settings), SyncProducer(settings)
    await producer.push("q", b"a")
    loop, time = asyncio.get_running_loop(), asyncio.get_running_loop().time
    with pytest.MonkeyPatch.context() as later:
        later.setattr(loop, "time", lambda: time() + settings.idle_check_s + 1.0)
        await producer.push("q", b"b")
    sync.push_many("q", [b"c", b"d"])
    await producer.close()
    sync.close()


async def schedule(settings: ConnectionSettings) -> None:
    """Everything producers do, and what takes a script."""
    await enqueue(settings)
    producer, sync = Producer(settings), SyncProducer(settings)
    for number, how in enumerate(({"whens": ("+30000",)}, {"ids": ("a",)}, {"whens": ("+20000",), "ids": ("b",)})):
        await producer.send([Push("q", (b"%d" % number,), **how)])  # type: ignore[arg-type]
        sync.send([Push("q", (b"%d" % number,), **how)])  # type: ignore[arg-type]
    await producer.close()
    sync.close()


async def live(settings: ConnectionSettings, admin: redis.Redis) -> None:
    """Everything a worker, the keeper and the admin process do with messages.

    What is done beside them is done by commands that none of them uses, so that they do not count.
    """
    broker = RedisBroker(settings)
    registration = await broker.register("q", broker.incarnation())
    bell = asyncio.ensure_future(registration.wait(30.0))
    await until(lambda: any("b" in row["flags"] for row in admin.client_list()))
    await registration.wake()
    assert await bell is False
    admin.copy("spare", "q")
    assert await registration.wait(1.0) is True
    a, b, c, d = (await registration.exchange(NOTHING, 4, 1)).tokens[:4]
    others = [(b, b"1", Reschedule(0.0, b"1")), (c, b"2", RELEASE), (d, b"3", DeadLetter("exhausted", {}))]
    await registration.exchange(Batch(completed=[a], others=[*others]), 0, 0)
    admin.hincrby(KEYS.inflight(registration.wid), "999", 1)  # what a failover may bring back
    admin.unlink(KEYS.lease(registration.wid))
    assert await registration.renew() is True
    for _ in range(2):
        await registration.exchange(NOTHING, 0, 0)
    assert await broker.promote("q") == (1, None)
    await _keep(broker, registration.wid)
    await _accuse(broker)
    await registration.withdraw()
    await registration.close()
    await _pop(broker)
    await broker.close()
    assert await durability.ask(settings) != []
    await inspect(settings)


async def _accuse(broker: RedisBroker) -> None:
    """One message, three deaths, the last one alone; then it lives."""
    await accuse(broker, "q", (False, False))
    living = await broker.register("q", broker.incarnation())
    taken = await living.exchange(NOTHING, 1, 0, alone=True)
    await living.exchange(Batch(others=[(taken.tokens[0], taken.raws[0], RELEASE)]), 0, 0)
    taken = await living.exchange(NOTHING, 1, 0, alone=True)
    await living.exchange(Batch(completed=[*taken.tokens]), 0, 0)
    await accuse(broker, "q")
    assert (await living.exchange(NOTHING, 1, 0, alone=True)).raws == []
    await living.withdraw()
    await living.close()


async def _keep(broker: RedisBroker, wid: str) -> None:
    assert await broker.due_bell("q", 0.01) is True
    assert [row.leased for row in await broker.registered("q")] == [True]
    assert await broker.renew("q", wid) is True
    other = await broker.register("q", broker.incarnation())
    await other.exchange(NOTHING, 1, 0)
    assert await broker.reap("q", wid, forced=False) is None
    assert await broker.reap("q", other.wid, forced=True) == Reaped(1)
    await other.close()


async def _pop(broker: RedisBroker) -> None:
    popper = broker.popper(["q"])
    assert await popper.pop(1.0) is not None
    (raw,) = await popper.pop_many("q", 1)
    await popper.wake()
    settlements = [Reschedule(60.0, raw), RELEASE, DeadLetter("exhausted", {}), COMPLETE]
    await broker.settle_popped("q", [(raw, settlement) for settlement in settlements])
    await popper.close()


async def inspect(settings: ConnectionSettings) -> None:
    """Everything the admin process asks, and `asyncq stats` and `asyncq dead`."""
    inspector = RedisInspector(settings)
    assert (await inspector.stats("q")).dead == 2
    assert len(await inspector.dead_letters("q")) == 2
    await inspector.ping()
    await inspector.close()


async def read(settings: ConnectionSettings) -> None:
    """Everything people ask at the command line."""
    await inspect(settings)
    server_version(settings.url)


async def test_users_have_the_rights_they_use_and_no_others(
    raw_redis: redis.Redis, as_user: As, refused: Callable[[], list[str]]
) -> None:
    raw_redis.rpush("spare", *range(9))
    doings: dict[str, Callable[[ConnectionSettings], Awaitable[None]]] = {
        "asyncq-worker": lambda settings: live(settings, raw_redis),
        "asyncq-reader": read,
        "asyncq-producer": enqueue,
        "asyncq-scheduler": schedule,
    }
    used = {}
    for user, doing in doings.items():
        raw_redis.script_flush()  # so that scripts have to be loaded
        raw_redis.config_resetstat()
        await doing(as_user(user))
        stats = raw_redis.info("commandstats")
        used[user] = {name.removeprefix("cmdstat_") for name in stats} - BESIDE
    assert refused() == ["config|get"]  # asked once per start; the page says why it is not given
    for user in acl.documented():
        assert sorted(used[user]) == sorted(acl.commands_of(user))
    assert set(used) == set(acl.documented())


@pytest.mark.parametrize("user", ["asyncq-producer", "asyncq-reader", "asyncq-scheduler", "asyncq-worker"])
async def test_nobody_may_touch_another_queue_or_rule_the_server(as_user: As, user: str) -> None:
    wire = AsyncWire(as_user(user), "role")
    for command in (
        ("RPUSH", "elsewhere", "a"),
        ("LLEN", "asyncq:{elsewhere}:elsewhere:inbox:w"),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "requirepass"),
        ("ACL", "LIST"),
        ("CLIENT", "LIST"),
        ("EVAL", "return 1", 0),
        ("PUBLISH", "channel", "a"),
    ):
        with pytest.raises(BrokerRefusedError, match=REFUSED):
            await wire.call(*command)
    await wire.close()


@pytest.mark.parametrize("command", [("LPOP", "q"), ("LRANGE", "q", 0, -1), ("LLEN", "q"), ("DEL", "q")])
async def test_producer_may_push_and_not_look(raw_redis: redis.Redis, as_user: As, command: tuple[str, ...]) -> None:
    await enqueue(as_user("asyncq-producer"))
    wire = AsyncWire(as_user("asyncq-producer"), "role")
    with pytest.raises(BrokerRefusedError, match=REFUSED):
        await wire.call(*command)
    await wire.close()
    assert raw_redis.llen("q") == 4


@pytest.mark.parametrize(
    "command",
    [("LPOP", "q"), ("LRANGE", "q", 0, -1), ("HGETALL", KEYS.payloads), ("DEL", "q"), ("LLEN", KEYS.dead)],
)
async def test_scheduler_may_put_and_read_no_message(as_user: As, command: tuple[str, ...]) -> None:
    wire = AsyncWire(as_user("asyncq-scheduler"), "role")
    with pytest.raises(BrokerRefusedError, match=REFUSED):
        await wire.call(*command)
    await wire.close()


async def test_reader_may_change_nothing(raw_redis: redis.Redis, as_user: As) -> None:
    producer = SyncProducer(as_user("asyncq-reader"))
    with pytest.raises(BrokerRefusedError, match=REFUSED):
        producer.push("q", b"a")
    producer.close()
    assert raw_redis.dbsize() == 0


@pytest.mark.parametrize("user", ["asyncq-worker", "nobody"])
async def test_password_is_in_no_sentence_when_it_is_wrong(redis_url: str, redis_socket: str, user: str) -> None:
    settings = ConnectionSettings(acl.url(redis_socket, user, "wrong-secret"))
    producer, wire = Producer(settings), OneSyncWire(settings, "role")
    said = []
    with pytest.raises(BrokerRefusedError) as caught:
        await producer.push("q", b"a")
    said.append(str(caught.value))
    with pytest.raises(BrokerRefusedError) as caught:
        wire.call("PING")
    said.append(str(caught.value))
    assert set(said) == {
        f"Redis at unix://***@{redis_socket} refused: invalid username-password pair or user is disabled; "
        "check the credentials, the rights and the key's type"
    }
    await producer.close()
    wire.close()


@pytest.mark.parametrize(
    ("right", "said"), [("evalsha", "'evalsha'"), ("zadd", "zadd|executing the script can't run this command")]
)
async def test_sentence_says_what_is_missing_when_a_worker_lacks_a_right(
    raw_redis: redis.Redis, as_user: As, redis_socket: str, right: str, said: str
) -> None:
    raw_redis.execute_command("ACL", "SETUSER", "asyncq-worker", f"-{right}")
    broker = RedisBroker(as_user("asyncq-worker"))
    try:
        with pytest.raises(BrokerRefusedError, match=said) as caught:
            await broker.register("q", broker.incarnation())
    finally:
        raw_redis.execute_command("ACL", "SETUSER", "asyncq-worker", f"+{right}")
        await broker.close()
    sentence = str(caught.value)
    assert sentence.startswith(f"Redis at unix://***@{redis_socket} refused: ")
    assert acl.PASSWORD not in sentence
    assert "\n" not in sentence
