"""What only a cluster can get wrong: several nodes at once, waiting on one of them, rights on each."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.durability import ask
from asyncq.broker.inspector import RedisInspector
from asyncq.broker.producer import Producer
from asyncq.broker.pushes import Push, when
from asyncq.broker.redis_broker import RedisBroker
from asyncq.broker.redis_sync import SyncProducer
from asyncq.broker.server_version import server_version
from asyncq.broker.wire import AsyncWire
from asyncq.core.errors import BrokerRefusedError
from tests.support import acl
from tests.support.cluster import Cluster
from tests.support.nodes import HOST, Nodes
from tests.support.states import until

SPREAD = ("q", "r", "ids")  # each on a node of its own


def blocked(client: redis.Redis) -> int:
    return sum("b" in row["flags"] for row in client.client_list())


def test_the_queues_of_these_tests_lie_on_three_nodes(cluster: Cluster) -> None:
    assert len({cluster.owner(queue).port for queue in SPREAD}) == 3


async def test_one_call_pushes_to_queues_of_all_nodes(cluster: Cluster, settings: ConnectionSettings) -> None:
    producer, sync = Producer(settings), SyncProducer(settings)
    await producer.send([Push(queue, (b"a",)) for queue in SPREAD])
    sync.send([Push(queue, (b"b",)) for queue in SPREAD])
    assert [cluster.owner(queue).client.lrange(queue, 0, -1) for queue in SPREAD] == [[b"a", b"b"]] * 3
    await producer.close()
    sync.close()


async def test_only_the_woken_one_ends_when_others_wait_on_other_nodes(
    cluster: Cluster, raw_redis: redis.Redis, broker: RedisBroker
) -> None:
    poppers = [broker.popper([queue]) for queue in SPREAD]
    pops = [asyncio.ensure_future(popper.pop(30.0)) for popper in poppers]
    await until(lambda: blocked(raw_redis) == 3)
    for k, popper in enumerate(poppers):
        await popper.wake()
        assert await asyncio.wait_for(pops[k], 2.0) is None
        assert [blocked(cluster.owner(queue).client) for queue in SPREAD] == [0] * (k + 1) + [1] * (2 - k)
    for popper in poppers:
        await popper.close()


async def test_popper_serves_queues_of_several_nodes_when_each_is_the_only_one_with_a_message(
    raw_redis: redis.Redis, broker: RedisBroker
) -> None:
    popper = broker.popper(SPREAD)
    for queue in SPREAD:
        raw_redis.rpush(queue, "there")
        assert await popper.pop(5.0) == (queue, b"there")
    assert await popper.pop(0.02) is None
    for queue in SPREAD:
        late = asyncio.ensure_future(popper.pop(30.0))
        await until(lambda: blocked(raw_redis) == 1)
        raw_redis.rpush(queue, "late")
        assert await asyncio.wait_for(late, 5.0) == (queue, b"late")
    await popper.close()


async def test_popper_of_queues_on_several_nodes_ends_when_woken(raw_redis: redis.Redis, broker: RedisBroker) -> None:
    popper = broker.popper(SPREAD)
    for _ in range(4):
        pop = asyncio.ensure_future(popper.pop(30.0))
        await until(lambda: blocked(raw_redis) == 1)
        await popper.wake()
        assert await asyncio.wait_for(pop, 2.0) is None
    await popper.close()


async def test_consumers_together_wait_on_all_nodes(cluster: Cluster, broker: RedisBroker) -> None:
    poppers = [broker.popper(SPREAD) for _ in range(9)]
    pops = [asyncio.ensure_future(popper.pop(30.0)) for popper in poppers]
    await until(lambda: [blocked(cluster.owner(queue).client) for queue in SPREAD] == [3, 3, 3])
    await asyncio.gather(*(popper.wake() for popper in poppers))
    assert await asyncio.gather(*pops) == [None] * 9
    for popper in poppers:
        await popper.close()


async def push(settings: ConnectionSettings) -> None:
    producer, sync = Producer(settings), SyncProducer(settings)
    await producer.push("q", b"a")
    sync.push("q", b"b")
    await producer.close()
    sync.close()


async def schedule(settings: ConnectionSettings) -> None:
    producer = Producer(settings)
    await producer.send([Push("q", (b"a",), whens=(when(30.0),), ids=("a",))])
    await producer.close()


async def read(settings: ConnectionSettings) -> None:
    inspector = RedisInspector(settings)
    assert (await inspector.stats("q")).ready == 0
    await inspector.ping()
    await inspector.close()
    assert server_version(settings.url).startswith(("Redis", "Valkey"))


@pytest.mark.parametrize(
    ("user", "doing"), [("asyncq-producer", push), ("asyncq-scheduler", schedule), ("asyncq-reader", read)]
)
async def test_documented_users_have_the_rights_they_need_on_a_cluster(
    cluster: Cluster,
    raw_redis: redis.Redis,
    settings: ConnectionSettings,
    user: str,
    doing: Callable[[ConnectionSettings], Awaitable[None]],
) -> None:
    raw_redis.acl_log_reset()
    raw_redis.config_resetstat()
    await doing(ConnectionSettings(cluster.url_of(user, acl.PASSWORD)))
    assert raw_redis.acl_log() == []
    used = {name.removeprefix("cmdstat_") for name in raw_redis.info("commandstats")}
    assert set(acl.besides("cluster")) == {"+cluster|slots", "+asking"}  # asking: only while a slot moves
    assert "cluster|slots" in used


async def test_user_who_may_not_ask_for_the_slots_is_refused_in_a_sentence(
    cluster: Cluster, raw_redis: redis.Redis, settings: ConnectionSettings
) -> None:
    raw_redis.execute_command("ACL", "SETUSER", "asyncq-worker", "-cluster|slots")
    broker = RedisBroker(settings)
    with pytest.raises(BrokerRefusedError, match=r"cluster.slots.*check the credentials, the rights") as caught:
        await broker.register("q", broker.incarnation())
    assert acl.PASSWORD not in str(caught.value)
    await broker.close()


async def test_one_node_says_what_the_cluster_can_lose(cluster: Cluster) -> None:
    (finding,) = await ask(ConnectionSettings(cluster.url))
    assert finding.text.startswith("persists nothing")


async def test_sentence_names_the_right_form_when_a_node_is_taken_for_the_whole(cluster: Cluster) -> None:
    strange = next(node for node in cluster.nodes if node is not cluster.owner("q"))
    wire = AsyncWire(ConnectionSettings(f"redis://{HOST}:{strange.port}"), "role")
    with pytest.raises(BrokerRefusedError, match=r"is one node of a cluster; name the cluster: redis\+cluster://"):
        await wire.call("LLEN", "q")
    await wire.close()


async def test_sentence_says_so_when_the_url_names_no_cluster(redis_server: str) -> None:
    with Nodes(redis_server) as nodes:
        node = nodes.start("alone", ['save ""'])
        node.wait_ready()
        producer = Producer(ConnectionSettings(f"redis+cluster://{HOST}:{node.port}"))
        with pytest.raises(BrokerRefusedError, match="cluster support disabled"):
            await producer.push("q", b"a")
        await producer.close()
