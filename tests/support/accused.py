"""A message that seems to kill the processes that run it, made with the broker's own means."""

from collections.abc import Iterable

from asyncq.broker.redis_broker import RedisBroker
from asyncq.core.blame import Blame
from asyncq.core.doors import Batch, Taken


async def die(broker: RedisBroker, queue: str, *, alone: bool = False, blame: Blame = Blame.KILLED) -> Taken:
    """One process takes a message (or a suspect, alone) and ends; what it had taken."""
    dying = await broker.register(queue, broker.incarnation())
    taken = await dying.exchange(Batch(), 1, 0, alone=alone)
    assert len(taken.raws) == 1
    await broker.reap(queue, dying.wid, forced=True, blame=blame)
    await dying.close()
    return taken


async def accuse(broker: RedisBroker, queue: str, deaths: Iterable[bool] = (False, False, True)) -> None:
    """The message at the head dies like this (True: alone)."""
    for alone in deaths:
        await die(broker, queue, alone=alone)
