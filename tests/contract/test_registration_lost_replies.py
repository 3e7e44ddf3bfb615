"""What becomes of messages when the network loses replies or delays requests."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pytest
import redis

from asyncq.broker.connection import AsyncLink, ConnectionSettings
from asyncq.broker.failures import ReplyLostError
from asyncq.broker.keys import queue_keys
from asyncq.broker.redis_broker import RedisBroker
from asyncq.broker.scripts import Command, script
from asyncq.broker.wire import AsyncWire
from asyncq.core.doors import Batch, Registration
from asyncq.core.errors import BrokerUnavailableError, RegistrationLostError
from asyncq.core.settlement import RELEASE, DeadLetter, Reschedule
from tests.contract.conftest import Register
from tests.support.proxy import FaultyProxy
from tests.support.states import until

KEYS = queue_keys("q")
NOTHING = Batch()
TAKE = script("take").sha.encode()


async def test_messages_come_with_the_next_exchange_when_the_reply_to_their_take_was_lost(
    raw_redis: redis.Redis, proxy: FaultyProxy, far_broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush("q", "a", "b", "c", "d")
    registration = await register(through=far_broker)
    proxy.lose_reply_to = TAKE
    with pytest.raises(ReplyLostError):
        await registration.exchange(NOTHING, 3, 0)
    first = await registration.exchange(NOTHING, 2, 0)
    assert list(first.raws) == [b"a", b"b"]
    second = await registration.exchange(Batch(completed=list(first.tokens)), 2, 0)
    assert list(second.raws) == [b"c", b"d"]
    await registration.exchange(Batch(completed=list(second.tokens)), 2, 0)
    assert raw_redis.dbsize() == 2  # register and lease


async def test_messages_come_with_the_next_exchange_when_redis_was_gone_before_a_script_could_be_loaded(
    raw_redis: redis.Redis, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_redis.rpush("q", "bad", "a", "b", "c")
    registration = await register()
    bad = (await registration.exchange(NOTHING, 1, 0)).tokens[0]
    batch = Batch(others=[(bad, b"bad", DeadLetter("exhausted", {}))])
    raw_redis.script_flush()
    raw_redis.script_load(script("take").source)  # known, so that the first round trip takes
    connected, trips = AsyncWire._connected, 0

    async def refused_the_second_time(wire: AsyncWire) -> AsyncLink:
        nonlocal trips
        trips += 1
        if trips == 2:
            raise ConnectionRefusedError("switched on by the test")
        return await connected(wire)

    monkeypatch.setattr(AsyncWire, "_connected", refused_the_second_time)
    with pytest.raises(ReplyLostError):
        await registration.exchange(batch, 3, 0)
    assert raw_redis.hlen(KEYS.inflight(registration.wid)) == 4
    assert list((await registration.exchange(batch, 3, 0)).raws) == [b"a", b"b", b"c"]
    assert raw_redis.zcard(KEYS.dead) == 1


async def test_nothing_is_taken_or_shown_when_room_is_none_after_a_lost_reply(
    raw_redis: redis.Redis, proxy: FaultyProxy, far_broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush("q", "a", "b")
    registration = await register(through=far_broker)
    proxy.lose_reply_to = TAKE
    with pytest.raises(ReplyLostError):
        await registration.exchange(NOTHING, 1, 0)
    assert list((await registration.exchange(NOTHING, 0, 0)).raws) == []
    assert await registration.wait(5.0) is True  # something is there for whoever has room
    assert await registration.withdraw() == 1
    assert raw_redis.lrange("q", 0, -1) == [b"a", b"b"]


async def test_messages_come_in_order_when_the_exchange_that_brought_them_failed_too(
    raw_redis: redis.Redis, proxy: FaultyProxy, far_broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush("q", "a", "b", "c")
    registration = await register(through=far_broker)
    for room in (3, 2):
        proxy.lose_reply_to = TAKE
        with pytest.raises(ReplyLostError):
            await registration.exchange(NOTHING, room, 0)
    assert list((await registration.exchange(NOTHING, 3, 0)).raws) == [b"a", b"b", b"c"]


async def test_no_more_than_room_and_look_ahead_come_when_an_earlier_take_brought_more(
    raw_redis: redis.Redis, proxy: FaultyProxy, far_broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush("q", "a", "b", "c", "d", "e", "f", "g")
    registration = await register(through=far_broker)
    proxy.lose_reply_to = TAKE
    with pytest.raises(ReplyLostError):
        await registration.exchange(NOTHING, 3, 0)
    assert list((await registration.exchange(NOTHING, 1, 1)).raws) == [b"a", b"b"]
    assert list((await registration.exchange(NOTHING, 0, 3)).raws) == [b"c", b"d", b"e"]


async def test_reply_is_not_trusted_when_it_answers_another_take(
    raw_redis: redis.Redis, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_redis.rpush("q", "a")
    registration = await register()
    pipeline = AsyncWire.pipeline

    async def answers_another(wire: AsyncWire, commands: Sequence[Command]) -> list[Any]:
        *others, (first, *rest) = await pipeline(wire, commands)
        return [*others, [first + 7, *rest]]

    with monkeypatch.context() as patched:
        patched.setattr(AsyncWire, "pipeline", answers_another)
        with pytest.raises(ReplyLostError, match="asked for tokens from 1, the reply is for 8"):
            await registration.exchange(NOTHING, 1, 0)
    taken = await registration.exchange(NOTHING, 1, 0)
    assert (list(taken.tokens), list(taken.raws)) == ([1], [b"a"])


async def test_settlements_happen_once_when_their_reply_was_lost_and_the_batch_is_repeated(
    raw_redis: redis.Redis, proxy: FaultyProxy, far_broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush("q", "a", "b", "c")
    registration = await register(through=far_broker)
    a, b, c = (await registration.exchange(NOTHING, 3, 0)).tokens
    batch = Batch(completed=[a], others=[(b, b"b", Reschedule(60.0, b"b")), (c, b"c", RELEASE)])
    proxy.lose_reply_to = TAKE
    with pytest.raises(ReplyLostError):
        await registration.exchange(batch, 0, 0)
    assert (await registration.exchange(batch, 0, 0)).late == 0
    assert raw_redis.zcard(KEYS.scheduled) == 1
    assert raw_redis.lrange("q", 0, -1) == [b"c"]


async def test_messages_are_found_when_a_take_is_carried_out_long_after_its_deadline(
    raw_redis: redis.Redis, proxy: FaultyProxy, far_broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush("q", "a", "b", "c")
    registration = await register(through=far_broker)
    proxy.hold_request = TAKE
    with pytest.raises(ReplyLostError):
        await registration.exchange(NOTHING, 2, 0)
    taken = await registration.exchange(NOTHING, 1, 0)
    assert list(taken.raws) == [b"a"]
    await proxy.release()
    assert raw_redis.hlen(KEYS.inflight(registration.wid)) == 3
    assert await registration.renew() is True
    found = await _raws_of(registration, 2)
    assert sorted(found) == [b"b", b"c"]
    assert list((await registration.exchange(NOTHING, 5, 0)).raws) == []


async def _raws_of(registration: Registration, count: int) -> list[bytes]:
    """What the next exchanges bring, at most three."""
    raws: list[bytes] = []
    for _ in range(3):
        raws += (await registration.exchange(NOTHING, 5, 0)).raws
        if len(raws) >= count:
            break
    return raws


@pytest.mark.parametrize(
    "batch", [Batch(completed=[1]), Batch(others=[(1, b"a", DeadLetter("exhausted", {}))])], ids=["completed", "buried"]
)
async def test_settled_message_is_deleted_and_never_run_when_it_is_recorded_again(
    raw_redis: redis.Redis, register: Register, batch: Batch
) -> None:
    raw_redis.rpush("q", "a")
    registration = await register()
    assert list((await registration.exchange(NOTHING, 1, 0)).tokens) == [1]
    await registration.exchange(batch, 0, 0)
    # What a failover to a replica that missed the delete looks like.
    raw_redis.hset(KEYS.inflight(registration.wid), "1", "a")
    await registration.renew()
    assert await _raws_of(registration, 1) == []
    assert raw_redis.exists(KEYS.inflight(registration.wid)) == 0


async def test_nothing_strays_when_exchanges_are_cancelled_at_any_moment(
    raw_redis: redis.Redis, register: Register
) -> None:
    raws = {b"%d" % k for k in range(400)}
    raw_redis.rpush("q", *raws)
    registration = await register()
    seen: list[bytes] = []
    turns = 0
    while len(seen) < len(raws):
        turns += 1
        assert turns < 2000
        exchange = asyncio.ensure_future(registration.exchange(NOTHING, 3, 2))
        for _ in range(turns % 7):
            await asyncio.sleep(0)
        if turns % 2:
            exchange.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            seen += (await exchange).raws
        if turns % 20 == 0:
            await registration.renew()
    assert set(seen) == raws
    assert len(seen) == len(raws)


async def test_call_fails_in_time_and_the_next_one_works_when_redis_stalls(
    proxy: FaultyProxy,
) -> None:
    broker = RedisBroker(ConnectionSettings(proxy.url, connect_timeout_s=60.0, reply_timeout_s=0.2))
    await broker.registered("q")
    proxy.swallow_request = b"ZRANGE"
    with pytest.raises(BrokerUnavailableError, match="no answer in time"):
        await asyncio.wait_for(broker.registered("q"), 5.0)
    await broker.registered("q")
    await broker.close()


async def test_inbox_message_comes_when_the_reply_to_the_wait_was_lost(
    raw_redis: redis.Redis, proxy: FaultyProxy, far_broker: RedisBroker, register: Register
) -> None:
    registration = await register(through=far_broker)
    proxy.lose_reply_to = b"BLMOVE"
    waiting = asyncio.ensure_future(registration.wait(5.0))
    await until(lambda: _blocked(raw_redis, b"blmove") == 1)
    raw_redis.rpush("q", "a")
    with pytest.raises(ReplyLostError):
        await waiting
    assert list((await registration.exchange(NOTHING, 1, 0)).raws) == [b"a"]


def _blocked(client: redis.Redis, command: bytes) -> int:
    return sum(row["cmd"].encode() == command and "b" in row["flags"] for row in client.client_list())


async def test_late_settlements_are_counted_exactly_when_a_reap_comes_between_the_commands(
    broker: RedisBroker, raw_redis: redis.Redis, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_redis.rpush("q", "a", "b", "c")
    registration = await register()
    a, b, c = (await registration.exchange(NOTHING, 3, 0)).tokens
    pipeline = AsyncWire.pipeline

    async def reaped_after_the_first(wire: AsyncWire, commands: Sequence[Command]) -> list[Any]:
        monkeypatch.setattr(AsyncWire, "pipeline", pipeline)
        first = await wire.pipeline(commands[:1])
        await broker.reap("q", registration.wid, forced=True)
        return first + await wire.pipeline(commands[1:])

    monkeypatch.setattr(AsyncWire, "pipeline", reaped_after_the_first)
    batch = Batch(completed=[a, b], others=[(c, b"c", RELEASE)])
    with pytest.raises(RegistrationLostError) as lost:
        await registration.exchange(batch, 1, 0)
    assert lost.value.late == 1
    assert raw_redis.lrange("q", 0, -1) == [b"c"]
