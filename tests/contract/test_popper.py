"""At most once: K consumers, each blocked in its own BLPOP."""

import asyncio

import pytest
import redis

from asyncq.broker.redis_broker import RedisBroker
from asyncq.core.errors import BrokerRefusedError
from tests.support.states import until


def blocked(client: redis.Redis) -> int:
    return sum(row["cmd"] == "blpop" and "b" in row["flags"] for row in client.client_list())


async def test_as_many_clients_are_blocked_as_there_are_consumers_when_all_are_idle(
    raw_redis: redis.Redis, broker: RedisBroker
) -> None:
    poppers = [broker.popper(["q"]) for _ in range(20)]
    pops = [asyncio.ensure_future(popper.pop(30.0)) for popper in poppers]
    await until(lambda: blocked(raw_redis) == 20)
    raw_redis.rpush("q", *range(3))
    await until(lambda: sum(pop.done() for pop in pops) == 3)
    await until(lambda: blocked(raw_redis) == 17)
    await asyncio.gather(*(popper.wake() for popper in poppers))
    found = [reply for reply in await asyncio.gather(*pops) if reply]
    assert sorted(found) == [("q", b"0"), ("q", b"1"), ("q", b"2")]
    assert raw_redis.dbsize() == 0
    for popper in poppers:
        await popper.close()
    await until(lambda: not [row for row in raw_redis.client_list() if row["name"] == "asyncq:popper"])


async def test_first_queue_is_served_first_when_both_hold_messages(raw_redis: redis.Redis, broker: RedisBroker) -> None:
    raw_redis.rpush("low", "l")
    raw_redis.rpush("high", "h")
    popper = broker.popper(["high", "low"])
    assert [await popper.pop(1.0), await popper.pop(1.0)] == [("high", b"h"), ("low", b"l")]
    assert await popper.pop(0.02) is None
    await popper.close()


async def test_up_to_count_come_without_waiting_when_asked_for_many(
    raw_redis: redis.Redis, broker: RedisBroker
) -> None:
    popper = broker.popper(["q"])
    raw_redis.rpush("q", "a", "b", "c")
    assert await popper.pop_many("q", 0) == []
    assert await popper.pop_many("q", 2) == [b"a", b"b"]
    assert await popper.pop_many("q", 2) == [b"c"]
    assert await popper.pop_many("q", 2) == []
    await popper.close()


async def test_pop_is_refused_with_a_sentence_when_the_key_is_no_list(
    raw_redis: redis.Redis, broker: RedisBroker
) -> None:
    raw_redis.set("q", "text")
    popper = broker.popper(["q"])
    with pytest.raises(BrokerRefusedError, match="WRONGTYPE"):
        await popper.pop(1.0)
    raw_redis.delete("q")
    assert await popper.pop(0.02) is None
    await popper.close()


async def test_pop_ends_at_once_when_it_may_last_no_time(broker: RedisBroker) -> None:
    popper = broker.popper(["q"])
    assert await asyncio.wait_for(popper.pop(0.0), 2.0) is None
    await popper.close()
