"""Taking and settling in one round trip."""

import json

import pytest
import redis

from asyncq.broker.keys import queue_keys
from asyncq.broker.redis_broker import RedisBroker
from asyncq.broker.scripts import NAMES, script
from asyncq.core.doors import Batch, Reaped
from asyncq.core.settlement import COMPLETE, RELEASE, DeadLetter, Reschedule
from tests.contract.conftest import Register
from tests.support.lua import keyspace

KEYS = queue_keys("q")
NOTHING = Batch()


async def test_messages_are_in_flight_in_redis_when_they_are_taken(raw_redis: redis.Redis, register: Register) -> None:
    raw_redis.rpush("q", "a", "b", "c")
    registration = await register()
    taken = await registration.exchange(NOTHING, 2, 0)
    assert list(taken.raws) == [b"a", b"b"]
    record = dict(zip((b"%d" % token for token in taken.tokens), taken.raws, strict=True))
    assert raw_redis.hgetall(KEYS.inflight(registration.wid)) == record
    assert raw_redis.lrange("q", 0, -1) == [b"c"]


async def test_completed_are_gone_and_next_ones_come_when_exchanged(raw_redis: redis.Redis, register: Register) -> None:
    raw_redis.rpush("q", "a", "b", "c")
    registration = await register()
    first = await registration.exchange(NOTHING, 2, 0)
    second = await registration.exchange(Batch(completed=list(first.tokens)), 5, 0)
    assert list(second.raws) == [b"c"]
    assert not set(first.tokens) & set(second.tokens)
    assert raw_redis.hvals(KEYS.inflight(registration.wid)) == [b"c"]


async def test_one_round_trip_carries_everything_when_the_batch_is_mixed(
    raw_redis: redis.Redis, register: Register
) -> None:
    raw_redis.rpush("q", "a", "b", "c", "d", "e", "f")
    registration = await register()
    taken = await registration.exchange(NOTHING, 5, 0)
    a, b, c, d, e = taken.tokens
    batch = Batch(
        completed=[a],
        others=[
            (b, b"b", Reschedule(60.0, b"b2")),
            (c, b"c", DeadLetter("exhausted", {"name": "n"})),
            (d, b"d", RELEASE),
            (e, b"e", COMPLETE),
        ],
    )
    for name in NAMES:  # a script's first use costs one more call
        raw_redis.script_load(script(name).source)
    raw_redis.config_resetstat()
    after = await registration.exchange(batch, 0, 0)
    calls = {name: facts["calls"] for name, facts in raw_redis.info("commandstats").items()}
    assert (list(after.tokens), after.late) == ([], 0)
    assert calls["cmdstat_evalsha"] == 4  # retry, dead letter, release, take
    left = keyspace(raw_redis)
    assert left["q"] == [b"d", b"f"]
    assert list(left[KEYS.payloads].values()) == [b"b2"]
    assert json.loads(next(iter(left[KEYS.dead_records].values())).partition(b"\n")[0])["reason"] == "exhausted"
    assert KEYS.inflight(registration.wid) not in left


async def test_releases_keep_their_order_when_several_go_back(raw_redis: redis.Redis, register: Register) -> None:
    raw_redis.rpush("q", "a", "b", "c", "d")
    registration = await register()
    taken = await registration.exchange(NOTHING, 3, 0)
    others = [(token, raw, RELEASE) for token, raw in zip(taken.tokens, taken.raws, strict=True)]
    await registration.exchange(Batch(others=[*others]), 0, 0)
    assert raw_redis.lrange("q", 0, -1) == [b"a", b"b", b"c", b"d"]


async def test_a_repeated_batch_changes_nothing_when_it_happened_before(
    raw_redis: redis.Redis, register: Register
) -> None:
    raw_redis.rpush("q", "a", "b", "c")
    registration = await register()
    a, b, c = (await registration.exchange(NOTHING, 3, 0)).tokens
    batch = Batch(completed=[a], others=[(b, b"b", Reschedule(60.0, b"b")), (c, b"c", RELEASE)])
    await registration.exchange(batch, 0, 0)
    before = keyspace(raw_redis)
    assert (await registration.exchange(batch, 0, 0)).late == 0
    assert keyspace(raw_redis) == before


async def test_a_thousand_come_and_go_when_room_is_large(raw_redis: redis.Redis, register: Register) -> None:
    raws = [b"%d" % k for k in range(2500)]
    raw_redis.rpush("q", *raws)
    registration = await register()
    seen, batch = [], Batch()
    while (taken := await registration.exchange(batch, 600, 600)).raws:
        assert len(taken.tokens) == len(taken.raws) <= 1000
        seen += taken.raws
        batch = Batch(completed=list(taken.tokens))
    assert seen == raws
    assert raw_redis.exists(KEYS.inflight(registration.wid)) == 0


async def test_oversized_is_counted_and_not_shipped_when_above_the_limit(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush("q", b"x" * (1024 * 1024 + 1), b"y" * 1024 * 1024)
    taken = await (await register()).exchange(NOTHING, 5, 0)
    assert [len(raw) for raw in taken.raws] == [1024 * 1024]
    assert taken.oversized == 1
    assert raw_redis.zcard(KEYS.dead) == 1


async def test_details_are_kept_as_text_when_json_cannot_say_them(raw_redis: redis.Redis, register: Register) -> None:
    raw_redis.rpush("q", "a")
    registration = await register()
    (token,) = (await registration.exchange(NOTHING, 1, 0)).tokens
    dead = DeadLetter("exhausted", {"error": "\udc80", "huge": 2**70})
    await registration.exchange(Batch(others=[(token, b"a", dead)]), 0, 0)
    header = json.loads(raw_redis.hvals(KEYS.dead_records)[0].partition(b"\n")[0])
    assert (header["reason"], "udc80" in header["details"]) == ("exhausted", True)


async def test_settlements_are_refused_when_the_incarnation_was_reaped(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush("q", "a", "b", "c", "d")
    registration = await register()
    a, b, c, d = (await registration.exchange(NOTHING, 4, 0)).tokens
    assert await broker.reap("q", registration.wid, forced=True) == Reaped(4)
    batch = Batch(
        completed=[a],
        others=[(b, b"b", Reschedule(1.0, b"b")), (c, b"c", RELEASE), (d, b"d", DeadLetter("exhausted", {}))],
    )
    for _ in range(2):
        with pytest.raises(LookupError, match="not registered"):
            await registration.exchange(batch, 10, 0)
    assert await registration.renew() is False
    assert raw_redis.lrange("q", 0, -1) == [b"a", b"b", b"c", b"d"]
    assert set(keyspace(raw_redis)) == {"q", KEYS.workers}


async def test_batch_is_carried_out_when_the_scripts_were_flushed(raw_redis: redis.Redis, register: Register) -> None:
    raw_redis.rpush("q", "a", "b", "c", "d")
    registration = await register()
    a, b = (await registration.exchange(NOTHING, 2, 0)).tokens
    raw_redis.script_flush()
    batch = Batch(completed=[a], others=[(b, b"b", Reschedule(60.0, b"b"))])
    taken = await registration.exchange(batch, 1, 0)
    assert (list(taken.raws), taken.late) == ([b"c"], 0)
    assert raw_redis.hvals(KEYS.inflight(registration.wid)) == [b"c"]
    assert raw_redis.zcard(KEYS.scheduled) == 1


async def test_worker_drains_when_redis_is_at_maxmemory(raw_redis: redis.Redis, register: Register) -> None:
    raw_redis.rpush("q", "a", "b", "c", "d")
    registration = await register()
    raw_redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.OutOfMemoryError):
            raw_redis.rpush("q", "refused")
        a, b, c = (await registration.exchange(NOTHING, 3, 0)).tokens
        others = [(b, b"b", Reschedule(60.0, b"b")), (c, b"c", DeadLetter("exhausted", {}))]
        taken = await registration.exchange(Batch(completed=[a], others=others), 5, 0)
        assert list(taken.raws) == [b"d"]
        assert await registration.wait(5.0) is True  # the move is refused: look again soon
        raw_redis.delete(KEYS.lease(registration.wid))
        assert await registration.renew() is True
        assert await registration.withdraw() == 1
        assert raw_redis.lrange("q", 0, -1) == [b"d"]
    finally:
        raw_redis.config_set("maxmemory", 0)


@pytest.mark.parametrize("forced", [True, False])
async def test_dead_are_reaped_and_others_enter_when_redis_is_at_maxmemory(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register, forced: bool
) -> None:
    raw_redis.rpush("q", "a")
    registration = await register()
    await registration.exchange(NOTHING, 1, 0)
    if not forced:
        raw_redis.delete(KEYS.lease(registration.wid))
    raw_redis.config_set("maxmemory", 1)
    try:
        assert await broker.reap("q", registration.wid, forced=forced) == Reaped(1)
        other = await register()
        assert list((await other.exchange(NOTHING, 1, 0)).raws) == [b"a"]
    finally:
        raw_redis.config_set("maxmemory", 0)
