"""A real worker on a real cluster: its slot moves to another node and back, other nodes die, and nobody notices."""

import asyncio

from redis.crc import key_slot

from tests.support.cluster import Cluster
from tests.support.numbered import Numbered, numbered
from tests.support.states import until

SLOT = key_slot(b"q")
PAUSE_S = 0.05


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


async def test_every_message_is_run_once_when_the_slot_of_its_queue_moves_there_and_back(own_cluster: Cluster) -> None:
    home = own_cluster.nodes.index(own_cluster.owner("q"))
    async with numbered(own_cluster.url) as work:
        for to in ((home + 1) % 3, (home + 2) % 3, home):
            before = len(work.ran)
            await work.push(500)
            await until(lambda before=before: len(work.ran) > before)
            assert await move(own_cluster, work, to) >= 3  # the list or what is in flight, the register, the lease
            await work.push(100)
            await until(lambda: len(work.ran) >= work.pushed, 15.0)
        assert not work.running.done()
    assert sorted(work.ran) == list(range(work.pushed))
    assert own_cluster.nodes[home].client.keys("*") == []
