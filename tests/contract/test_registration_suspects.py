"""What becomes of suspects when replies are lost and requests come late: none is stranded, none accused unheard."""

import pytest
import redis

from asyncq.broker.failures import ReplyLostError
from asyncq.broker.keys import queue_keys
from asyncq.broker.redis_broker import RedisBroker
from asyncq.broker.scripts import script
from asyncq.core.blame import Blame
from asyncq.core.doors import Batch, Reaped
from asyncq.core.settlement import COMPLETE, RELEASE, Reschedule, Settlement
from tests.contract.conftest import Register
from tests.support.accused import accuse
from tests.support.proxy import FaultyProxy

KEYS = queue_keys("q")
NOTHING = Batch()
TAKE, GIVE_BACK = script("take").sha.encode(), script("settle_release").sha.encode()


async def test_suspect_is_not_convicted_when_it_came_late_and_others_ran(
    raw_redis: redis.Redis, broker: RedisBroker, proxy: FaultyProxy, far_broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush(KEYS.suspects, "suspect")
    raw_redis.rpush("q", "a")
    registration = await register(through=far_broker)
    proxy.hold_request = TAKE
    with pytest.raises(ReplyLostError):
        await registration.exchange(NOTHING, 0, 0, alone=True)
    await registration.exchange(NOTHING, 0, 0)  # looks for what the lost take brought: nothing yet
    await proxy.release()
    assert list((await registration.exchange(NOTHING, 1, 0)).raws) == [b"a"]
    assert await broker.reap("q", registration.wid, forced=True, blame=Blame.CRASHED) == Reaped(1, 1)
    assert raw_redis.lrange(KEYS.suspects, 0, -1) == [b"suspect"]


@pytest.mark.parametrize("fault", ["lose_reply_to", "hold_request"])
async def test_suspect_goes_back_when_take_and_release_are_both_unanswered(
    raw_redis: redis.Redis, proxy: FaultyProxy, far_broker: RedisBroker, register: Register, fault: str
) -> None:
    raw_redis.rpush(KEYS.suspects, "suspect")
    registration = await register(through=far_broker)
    proxy.lose_reply_to = TAKE
    with pytest.raises(ReplyLostError):
        await registration.exchange(NOTHING, 0, 0, alone=True)
    assert raw_redis.hkeys(KEYS.inflight(registration.wid)) == [b"-1"]
    setattr(proxy, fault, GIVE_BACK)
    with pytest.raises(ReplyLostError):
        await registration.exchange(NOTHING, 0, 0)
    await registration.exchange(NOTHING, 0, 0)
    assert raw_redis.exists(KEYS.inflight(registration.wid)) == 0
    assert raw_redis.lrange(KEYS.suspects, 0, -1) == [b"suspect"]
    await proxy.release()
    assert raw_redis.lrange(KEYS.suspects, 0, -1) == [b"suspect"]
    assert list((await registration.exchange(NOTHING, 0, 0, alone=True)).raws) == [b"suspect"]


async def test_other_strays_are_run_when_a_suspect_among_them_could_not_go_back(
    raw_redis: redis.Redis, proxy: FaultyProxy, far_broker: RedisBroker, register: Register
) -> None:
    raw_redis.rpush(KEYS.suspects, "suspect")
    raw_redis.rpush("q", "a")
    registration = await register(through=far_broker)
    proxy.hold_request = TAKE
    with pytest.raises(ReplyLostError):
        await registration.exchange(NOTHING, 0, 0, alone=True)
    proxy.hold_request = TAKE
    with pytest.raises(ReplyLostError):
        await registration.exchange(NOTHING, 1, 0)
    raw_redis.hset(KEYS.inflight(registration.wid), mapping={"-1": "suspect", "2": "a"})  # both are carried out now
    raw_redis.delete(KEYS.suspects, "q")
    proxy.lose_reply_to = GIVE_BACK
    with pytest.raises(ReplyLostError):
        await registration.exchange(NOTHING, 1, 0)
    assert list((await registration.exchange(NOTHING, 1, 0)).raws) == [b"a"]
    assert raw_redis.hgetall(KEYS.inflight(registration.wid)) == {b"2": b"a"}
    assert raw_redis.lrange(KEYS.suspects, 0, -1) == [b"suspect"]


@pytest.mark.parametrize(
    ("settlement", "acquitted"), [(COMPLETE, True), (Reschedule(60.0, b"a2"), True), (RELEASE, False)]
)
async def test_a_suspect_is_acquitted_when_it_came_to_an_end_and_not_when_it_was_given_back(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register, settlement: Settlement, acquitted: bool
) -> None:
    raw_redis.rpush("q", "a")
    await accuse(broker, "q", (False, False))
    registration = await register()
    taken = await registration.exchange(NOTHING, 0, 0, alone=True)
    batch = Batch(others=[(taken.tokens[0], b"a", settlement)])
    await registration.exchange(batch, 0, 0)
    assert raw_redis.hlen(KEYS.crash_counts) == raw_redis.zcard(KEYS.crashes) == (0 if acquitted else 1)
