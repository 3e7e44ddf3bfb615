"""The judge of keys that belong to nobody: finds what is planted, keeps quiet about what a working queue holds."""

import pytest
import redis

from asyncq.broker.keys import QueueKeys, queue_keys
from asyncq.broker.redis_broker import RedisBroker
from asyncq.core.doors import Batch
from asyncq.core.settlement import DeadLetter, Reschedule
from tests.contract.conftest import Register
from tests.support.accused import die
from tests.support.key_leaks import KINDS, leaks

KEYS = queue_keys("q")
UNREGISTERED = "belongs to an incarnation that is not registered any more"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("SET", "asyncq:{q}:q:lock", "1"), "of a kind that"),
        (("SET", "asyncq:{other}:q:due", "1"), "of a kind that"),
        (("SET", "asyncq:", "1"), "of a kind that"),
        (("SET", "q", "1"), "a string, and no list of a queue"),
        (("RPUSH", "a b", "1"), "a list, and no list of a queue"),
        (("HSET", KEYS.scheduled, "f", "v"), "expected a zset, found a hash"),
        (("RPUSH", KEYS.due, "1"), "has no time to live"),
        (("SET", "asyncq:{q}:q:enqueued:some:id", "1"), "has no time to live"),
        (("SET", KEYS.lease("h:1:a"), "1"), "has no time to live"),
        (("SET", KEYS.lease("h:1:a"), "1", "PX", "9000"), UNREGISTERED),
        (("HSET", KEYS.inflight("h:1:a"), "1", "raw"), UNREGISTERED),
        (("RPUSH", KEYS.inbox("h:1:a"), "raw"), UNREGISTERED),
        (("ZADD", KEYS.scheduled, "1", "id"), "of these ids one half is missing: [b'id']"),
        (("HSET", KEYS.payloads, "id", "raw"), "of these ids one half is missing: [b'id']"),
        (("ZADD", KEYS.crashes, "1", "sha"), "has no time to live"),
        (("HSET", KEYS.crash_counts, "sha", "1 0"), "has no time to live"),
        (("SET", KEYS.killed, "1"), "has no time to live"),
        (("SET", KEYS.suspects, "1"), "expected a list, found a string"),
        (("ZADD", KEYS.dead, "1", "id"), "of these ids one half is missing: [b'id']"),
        (("HSET", KEYS.dead_records, "id", "raw"), "of these ids one half is missing: [b'id']"),
    ],
)
@pytest.mark.leaves_keys("plants one to be found")
def test_leak_is_named_when_it_is_planted(raw_redis: redis.Redis, command: tuple[str, ...], sentence: str) -> None:
    raw_redis.execute_command(*command)
    (found,) = leaks(raw_redis)
    assert found.startswith(f"{command[1]}: {sentence}")


@pytest.mark.leaves_keys("the register lists it as reaped")
def test_leak_is_named_when_its_incarnation_was_reaped(raw_redis: redis.Redis) -> None:
    raw_redis.zadd(KEYS.workers, {"h:1:a": 9_999_999_999_999, "h:1:b": 0})
    for wid in ("h:1:a", "h:1:b"):
        raw_redis.hset(KEYS.inflight(wid), "1", "raw")
    assert leaks(raw_redis) == [f"{KEYS.inflight('h:1:a')}: {UNREGISTERED}"]


@pytest.mark.parametrize("queue", ["q", "a:scheduled:b", "{shop}:mail"])
async def test_nothing_is_named_when_a_queue_is_at_work(
    raw_redis: redis.Redis, broker: RedisBroker, register: Register, queue: str
) -> None:
    keys = queue_keys(queue)
    raw_redis.rpush(queue, "a", "b", "c", "d")
    registration = await register(queue)
    a, b, _ = (await registration.exchange(Batch(), 3, 0)).tokens
    others = [(a, b"a", Reschedule(60.0, b"a")), (b, b"b", DeadLetter("exhausted", {}))]
    await registration.exchange(Batch(others=[*others]), 0, 0)
    await die(broker, queue)
    raw_redis.rpush(keys.suspects, "s")
    raw_redis.rpush(keys.accused, "a")
    raw_redis.rpush(keys.inbox(registration.wid), "landed")
    raw_redis.set(f"{keys.base}:enqueued:some:id", 1, px=9000)
    kinds = {name.decode().removeprefix(keys.base + ":") for name in raw_redis.keys("asyncq:*")}
    assert len(kinds) == len(KINDS)  # every kind is there
    assert leaks(raw_redis) == []


def test_every_key_of_the_broker_has_a_kind() -> None:
    made = [value.removeprefix(KEYS.base + ":") for value in _names(KEYS) if value.startswith(KEYS.base + ":")]
    assert set(made) <= {kind.replace("<wid>", "w") for kind in KINDS}
    assert len(made) == 14


def _names(keys: QueueKeys) -> list[str]:
    fixed = [getattr(keys, name) for name in QueueKeys.__slots__]
    return [*fixed, keys.inflight("w"), keys.inbox("w"), keys.lease("w")]
