"""A real worker on a real cluster: its slot moves to another node and back, other nodes die, and nobody notices."""

import asyncio
import time

import pytest
from redis.crc import key_slot

from asyncq.broker.cluster import ClusterWire
from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.producer import Producer
from tests.support import acl
from tests.support.cluster import Cluster
from tests.support.nodes import Node
from tests.support.numbered import Numbered, message, numbered
from tests.support.states import until

SLOT = key_slot(b"q")
PAUSE_S = 0.05
BACK_S = 3.0  # the longest pause between two tries is 2 s


@pytest.fixture
def moving(module_cluster: Cluster) -> Cluster:
    """Empty; tests that move a slot bring it back."""
    module_cluster.client.flushall()
    return module_cluster


async def move(cluster: Cluster, work: Numbered, to: int) -> int:
    """Give the slot to another node while messages are pushed and run; how many keys it was."""
    loop = asyncio.get_running_loop()

    def push_some() -> None:
        """In the midst of the move, from its thread."""
        asyncio.run_coroutine_threadsafe(push_and_wait(), loop).result(10.0)

    async def push_and_wait() -> None:
        for _ in range(20):
            await work.push()
        await asyncio.sleep(PAUSE_S)  # sleeps: the worker asks in this state, too

    return await asyncio.to_thread(cluster.move, SLOT, cluster.nodes[to], push_some)


async def test_every_message_is_run_once_when_the_slot_of_its_queue_moves_there_and_back(moving: Cluster) -> None:
    """As the documented worker: also that its rights are enough while a slot moves is seen here."""
    home = moving.nodes.index(moving.owner("q"))
    acl.make_users(moving.client, "q", place="cluster")
    async with numbered(moving.url_of("asyncq-worker", acl.PASSWORD)) as work:
        for to in ((home + 1) % 3, (home + 2) % 3, home):
            before = len(work.ran)
            await work.push(500)
            await until(lambda before=before: len(work.ran) > before)
            assert await move(moving, work, to) >= 3  # the list or what is in flight, the register, the lease
            await work.push(100)
            await until(lambda: len(work.ran) >= work.pushed, 15.0)
        assert not work.running.done()
    assert sorted(work.ran) == list(range(work.pushed))
    assert moving.nodes[home].client.keys("*") == []
    assert moving.client.acl_log() == []


@pytest.mark.parametrize("end", ["pushed", "woken"])
async def test_blocked_call_follows_its_slot_when_that_moves_away(moving: Cluster, end: str) -> None:
    source = moving.owner("q")
    target = next(node for node in moving.nodes if node is not source)
    wire = ClusterWire(ConnectionSettings(moving.url), "role", connections=2)
    line = wire.line("line")
    waiting = asyncio.ensure_future(line.call(("BLPOP", "q", "30"), 30.0))
    await until(lambda: blocked(source) == 1)
    await asyncio.to_thread(moving.move, SLOT, target, lambda: None)
    await until(lambda: blocked(target) == 1, 10.0, "it waits at the new owner")
    if end == "woken":
        await line.wake(wire)
    else:
        target.client.rpush("q", "a")
    assert await asyncio.wait_for(waiting, 2.0) == (None if end == "woken" else [b"q", b"a"])
    await asyncio.to_thread(moving.move, SLOT, source, lambda: None)
    await line.close()
    await wire.close()


def blocked(node: Node) -> int:
    return sum("b" in row["flags"] for row in node.client.client_list())


async def test_worker_goes_on_when_a_node_with_other_slots_dies(
    own_cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    own = own_cluster.owner("q")
    first, second = own_cluster.nodes[:2]
    victim = first if first is not own else second  # one that the URL names
    async with numbered(own_cluster.url) as work:
        await work.push(1000)
        await until(lambda: len(work.ran) > 100)
        caplog.clear()
        victim.kill()
        await work.push(1000)
        producer = Producer(ConnectionSettings(own_cluster.url))  # has to find the cluster without it
        await producer.push("q", message(work.pushed))
        work.pushed += 1
        await until(lambda: len(work.ran) >= work.pushed, 10.0)
        assert not work.running.done()
        await producer.close()
    assert sorted(work.ran) == list(range(work.pushed))
    assert [record.message for record in caplog.records if record.name == "asyncq.redis"] == []


async def test_worker_goes_on_with_the_replica_when_its_master_hands_over_and_when_it_is_killed(
    own_cluster: Cluster,
) -> None:
    master = own_cluster.owner("q")
    replica = own_cluster.add_replica(master)

    def hand_over() -> None:
        replica.client.execute_command("CLUSTER", "FAILOVER")

    def kill() -> None:
        replica.kill()
        master.client.execute_command("CLUSTER", "FAILOVER", "TAKEOVER")

    async with numbered(own_cluster.url) as work:
        for strike, new, old in ((hand_over, replica, master), (kill, master, replica)):
            await work.push(1000, guarded=True)
            await asyncio.to_thread(old.replicate, "{q}mark")
            await asyncio.to_thread(strike)
            await until(lambda new=new: new.client.role()[0] == b"master", 10.0, "the replica is the master")
            named = time.monotonic()
            await work.push(guarded=True)
            await until(lambda: work.pushed - 1 in work.ran, 10.0, "what was pushed afterwards")
            assert time.monotonic() - named < BACK_S
            await until(lambda: set(work.ran) == set(range(work.pushed)), 10.0, "all of them")
        assert not work.running.done()


async def test_worker_stays_alive_and_takes_again_when_the_node_of_its_queue_comes_back(moving: Cluster) -> None:
    node = moving.owner("q")
    async with numbered(moving.url) as work:
        await work.push(10)
        await until(lambda: len(work.ran) == 10)
        node.pause()
        await asyncio.sleep(2.5)  # sleeps: longer than a reply may take
        assert not work.running.done()
        node.resume()
        await work.push(10, guarded=True)
        await until(lambda: len(work.ran) >= 20, 10.0)
    assert sorted(work.ran) == list(range(20))
