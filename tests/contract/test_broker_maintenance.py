"""What the keeper asks of the broker: leases of others, the register, reaping, promotion."""

import asyncio
import re

import pytest
import redis

from asyncq.broker.keys import queue_keys
from asyncq.broker.redis_broker import RedisBroker
from asyncq.broker.scripts import script
from asyncq.core.blame import Blame
from asyncq.core.doors import Batch, Reaped, Registered
from asyncq.core.settlement import COMPLETE, RELEASE, DeadLetter, Reschedule
from tests.contract.conftest import Register
from tests.support.lua import keyspace, redis_ms
from tests.support.states import until

KEYS = queue_keys("q")
NOTHING = Batch()


def test_incarnation_names_host_pid_and_chance_when_made(broker: RedisBroker) -> None:
    first, second = broker.incarnation(), broker.incarnation()
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9_.-]+-[0-9a-f]{6}:\d+:[0-9a-f]{12}", first)


async def test_register_is_listed_when_some_live_and_some_are_dead(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register
) -> None:
    assert await broker.registered("q") == []
    alive, dead = await register(), await register()
    before_ms = redis_ms(raw_redis)
    await broker.reap("q", dead.wid, forced=True)
    rows = {row.wid: row for row in await broker.registered("q")}
    assert rows[alive.wid] == Registered(alive.wid, 0, True)
    assert before_ms + 3_600_000 <= rows[dead.wid].tombstone_ms <= redis_ms(raw_redis) + 3_600_000
    assert rows[dead.wid].leased is False


async def test_each_missing_lease_is_told_from_those_that_exist(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register
) -> None:
    async def leased() -> set[str]:
        return {row.wid for row in await broker.registered("q") if row.leased}

    dead, first, second, third = [(await register()).wid for _ in range(4)]
    await broker.reap("q", dead, forced=True)
    assert await leased() == {first, second, third}
    raw_redis.delete(KEYS.lease(second))
    assert await leased() == {first, third}
    raw_redis.delete(KEYS.lease(first), KEYS.lease(third))
    assert await leased() == set()
    assert len(await broker.registered("q")) == 4


async def test_reaping_is_refused_when_the_lease_lives_or_nobody_knows_it(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register
) -> None:
    registration = await register()
    raw_redis.rpush("q", "a")
    await registration.exchange(NOTHING, 1, 0)
    assert await broker.reap("q", registration.wid, forced=False) is None
    assert await broker.reap("q", "nobody:1:0", forced=True) is None
    raw_redis.delete(KEYS.lease(registration.wid))
    assert await broker.reap("q", registration.wid, forced=False) == Reaped(1)
    assert raw_redis.lrange("q", 0, -1) == [b"a"]


async def test_only_the_culprit_is_held_to_account_when_a_process_hung(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush("q", "a", "stuck", "b")
    first = await register()
    taken = await first.exchange(NOTHING, 3, 0)
    hung = taken.tokens[1]
    assert await broker.reap("q", first.wid, forced=True, blame=Blame.CRASHED, culprit=hung) == Reaped(2, 1)
    second = await register()
    alone = await second.exchange(NOTHING, 0, 0, alone=True)
    assert list(alone.raws) == [b"stuck"]
    found = await broker.reap("q", second.wid, forced=True, blame=Blame.CRASHED, culprit=alone.tokens[0])
    assert found == Reaped(0, 0, (f"{second.wid}:hung",))
    assert raw_redis.lrange("q", 0, -1) == [b"a", b"b"]
    assert raw_redis.exists(KEYS.suspects, KEYS.accused, KEYS.crashes, KEYS.crash_counts) == 0


async def test_incarnation_never_comes_back_when_it_was_reaped(broker: RedisBroker, register: Register) -> None:
    registration = await register()
    assert await broker.renew("q", registration.wid) is True
    await broker.reap("q", registration.wid, forced=True)
    assert await broker.renew("q", registration.wid) is False
    with pytest.raises(LookupError, match="reaped"):
        await broker.register("q", registration.wid)


async def test_other_process_keeps_the_lease_when_it_renews_for_a_child(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register
) -> None:
    registration = await register()
    raw_redis.delete(KEYS.lease(registration.wid))
    assert await broker.renew("q", registration.wid) is True
    raw_redis.pexpire(KEYS.lease(registration.wid), 3000)
    assert await broker.renew("q", registration.wid) is True
    assert raw_redis.pttl(KEYS.lease(registration.wid)) > 14_000
    assert await broker.renew("q", "nobody:1:0") is False


async def test_retry_is_promoted_when_it_is_due(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register
) -> None:
    assert await broker.promote("q") == (0, None)
    raw_redis.rpush("q", "a", "b")
    registration = await register()
    a, b = (await registration.exchange(NOTHING, 2, 0)).tokens
    others = [(a, b"a", Reschedule(0.0, b"a2")), (b, b"b", Reschedule(60.0, b"b2"))]
    await registration.exchange(Batch(others=[*others]), 0, 0)
    moved, next_ms = await broker.promote("q")
    assert moved == 1
    assert next_ms is not None
    assert 50_000 < next_ms <= 60_000
    assert raw_redis.lrange("q", 0, -1) == [b"a2"]


async def test_nobody_runs_the_script_while_nothing_waits(raw_redis: redis.Redis, broker: RedisBroker) -> None:
    async def settle(delay_s: float) -> None:
        await broker.settle_popped("q", [(b"a", Reschedule(delay_s, b"a"))])

    assert await broker.promote("q") == (0, None)
    raw_redis.script_flush()
    assert [await broker.promote("q") for _ in range(3)] == [(0, None)] * 3
    assert raw_redis.script_exists(script("promote").sha) == [False]
    await settle(60.0)
    moved, next_ms = await broker.promote("q")
    assert (moved, next_ms is not None and 50_000 < next_ms <= 60_000) == (0, True)
    await settle(0.0)
    assert (await broker.promote("q"))[0] == 1
    raw_redis.delete(KEYS.scheduled, KEYS.payloads)
    assert [await broker.promote("q") for _ in range(2)] == [(0, None)] * 2


async def test_some_are_promoted_when_the_limit_is_out_of_range(raw_redis: redis.Redis, broker: RedisBroker) -> None:
    raw_redis.zadd(KEYS.scheduled, {str(k): k for k in range(9000)})
    raw_redis.hset(KEYS.payloads, mapping={str(k): k for k in range(9000)})
    assert await broker.promote("q", 0) == (1, 0)
    assert await broker.promote("q", 9000) == (500, 0)
    assert raw_redis.lrange("q", 0, -1) == [b"%d" % k for k in range(501)]


async def test_due_bell_rings_when_something_becomes_the_earliest(raw_redis: redis.Redis, broker: RedisBroker) -> None:
    assert await broker.due_bell("q", 0.02) is False
    bell = asyncio.ensure_future(broker.due_bell("q", 10.0))
    await until(lambda: any(row["name"] == "asyncq:worker-due" for row in raw_redis.client_list()))
    await broker.settle_popped("q", [(b"a", Reschedule(5.0, b"a"))])
    assert await asyncio.wait_for(bell, 2.0) is True


async def test_due_bell_of_each_queue_rings_for_itself_when_several_wait(
    raw_redis: redis.Redis, broker: RedisBroker
) -> None:
    bells = {queue: asyncio.ensure_future(broker.due_bell(queue, 10.0)) for queue in ("q", "r")}
    await until(lambda: sum("b" in row["flags"] for row in raw_redis.client_list()) == 2)
    for queue, bell in reversed(bells.items()):
        await broker.settle_popped(queue, [(b"a", Reschedule(5.0, b"a"))])
        assert await asyncio.wait_for(bell, 2.0) is True


async def test_due_bell_ends_at_once_when_it_may_last_no_time(broker: RedisBroker) -> None:
    assert await asyncio.wait_for(broker.due_bell("q", 0.0), 2.0) is False


async def test_popped_messages_are_settled_without_a_fence_when_asked(
    raw_redis: redis.Redis, broker: RedisBroker
) -> None:
    raw_redis.rpush("q", "z")
    await broker.settle_popped(
        "q",
        [
            (b"a", RELEASE),
            (b"b", RELEASE),
            (b"same", Reschedule(60.0, b"same")),
            (b"same", Reschedule(60.0, b"same")),
            (b"c", DeadLetter("malformed", {"error": "not JSON"})),
            (b"d", COMPLETE),
        ],
    )
    left = keyspace(raw_redis)
    assert left["q"] == [b"a", b"b", b"z"]
    assert list(left[KEYS.payloads].values()) == [b"same", b"same"]
    assert [line.partition(b"\n")[2] for line in left[KEYS.dead_records].values()] == [b"c"]
    assert set(left) == {"q", KEYS.scheduled, KEYS.payloads, KEYS.due, KEYS.dead, KEYS.dead_records}


async def test_queues_with_a_tag_share_nothing_but_their_slot_when_used_together(
    raw_redis: redis.Redis, register: Register
) -> None:
    raw_redis.rpush("{shop}:mail", "m")
    raw_redis.rpush("{shop}:bill", "b")
    mail, bill = await register("{shop}:mail"), await register("{shop}:bill")
    assert list((await mail.exchange(NOTHING, 5, 0)).raws) == [b"m"]
    assert list((await bill.exchange(NOTHING, 5, 0)).raws) == [b"b"]
    await mail.withdraw()
    await bill.withdraw()
    assert keyspace(raw_redis) == {"{shop}:mail": [b"m"], "{shop}:bill": [b"b"]}
