"""What the end of a process says against the messages that it ran: suspects, points, calm, convictions."""

import json
from typing import Any

import pytest
import redis

from asyncq.core.blame import Blame
from tests.lua.test_lua_reap import HOUR_MS, NAMED
from tests.support.lua import INBOX, INFLIGHT, KEYS, WID, enter, keyspace, redis_ms, run

NOBODY, LOST, KILLED, CRASHED = Blame
CALM_MS = 10_000
POISON = b'{"id": "m-1", "name": "mail:send", "payload": {}, "timestamp": 1.5}'


def die(client: redis.Redis, blame: Blame, running: dict[int, bytes], *, storm: bool = False, culprit: int = 0) -> Any:
    """One process that runs these messages ends and is reaped; in a storm another one was killed just before."""
    client.delete(KEYS.killed)
    if storm:
        client.set(KEYS.killed, redis_ms(client), px=HOUR_MS)
    enter(client)
    client.hset(INFLIGHT, mapping={str(token): raw for token, raw in running.items()})
    found = reap(client, blame, culprit)
    client.delete("q", KEYS.suspects, KEYS.accused)
    return found


def reap(client: redis.Redis, blame: Blame, culprit: int = 0) -> Any:
    points = (int(blame), 2, 4)
    return run(client, "reap", NAMED, WID, 1, HOUR_MS, *points, HOUR_MS, CALM_MS, HOUR_MS, 100, HOUR_MS, culprit)


def record(client: redis.Redis) -> tuple[dict[str, Any], bytes]:
    """Header and raw bytes of the only dead letter."""
    ((_, line),) = client.hgetall(KEYS.dead_records).items()
    header, _, raw = line.partition(b"\n")
    return json.loads(header), raw


@pytest.mark.parametrize("blame", [LOST, KILLED, CRASHED])
def test_the_second_death_makes_a_suspect_when_it_accuses(raw_redis: redis.Redis, blame: Blame) -> None:
    enter(raw_redis)
    raw_redis.hset(INFLIGHT, mapping={"1": "a", "2": "b"})
    raw_redis.rpush(INBOX, "never started")
    assert reap(raw_redis, blame) == [3, 0]
    assert raw_redis.lrange("q", 0, -1) == [b"a", b"b", b"never started"]

    enter(raw_redis)
    raw_redis.hset(INFLIGHT, mapping={"7": "b", "8": "c"})
    raw_redis.rpush(INBOX, "b")
    assert reap(raw_redis, blame) == [2, 1]
    assert raw_redis.lrange("q", 0, 1) == [b"c", b"b"]
    assert raw_redis.lrange(KEYS.suspects, 0, -1) == [b"b"]


def test_nobody_becomes_a_suspect_when_the_end_accuses_nobody(raw_redis: redis.Redis) -> None:
    for _ in range(5):
        assert die(raw_redis, NOBODY, {1: b"a"}) == [1, 0]
    assert raw_redis.exists(KEYS.crashes, KEYS.crash_counts) == 0


def test_equal_messages_die_once_when_they_were_in_flight_together(raw_redis: redis.Redis) -> None:
    assert die(raw_redis, KILLED, {1: b"same", 2: b"same", 3: b"same"}) == [3, 0]
    assert die(raw_redis, KILLED, {1: b"same", 2: b"same"}) == [0, 2]


@pytest.mark.parametrize(("blame", "deaths_alone"), [(CRASHED, 1), (KILLED, 2), (LOST, 4)])
def test_a_message_is_convicted_when_it_died_alone_often_enough(
    raw_redis: redis.Redis, blame: Blame, deaths_alone: int
) -> None:
    die(raw_redis, blame, {1: POISON})
    die(raw_redis, blame, {1: POISON})
    for _ in range(deaths_alone - 1):
        assert die(raw_redis, blame, {-1: POISON}) == [0, 1]
    found = die(raw_redis, blame, {-1: POISON})
    assert found[:2] == [0, 0]
    assert raw_redis.zrange(KEYS.dead, 0, -1) == found[2:]
    header, raw = record(raw_redis)
    header.pop("at_ms")
    assert header == {"reason": "poison", "deaths": 2 + deaths_alone, "id": "m-1", "name": "mail:send"}
    assert raw == POISON
    assert raw_redis.exists(KEYS.crashes, KEYS.crash_counts) == 0


def test_points_of_different_ends_add_up_when_it_dies_alone(raw_redis: redis.Redis) -> None:
    assert die(raw_redis, LOST, {-1: b"a"}) == [0, 1]
    assert die(raw_redis, LOST, {-1: b"a"}) == [0, 1]
    assert die(raw_redis, NOBODY, {-1: b"a"}) == [0, 1]
    assert len(die(raw_redis, KILLED, {-1: b"a"})) == 3


@pytest.mark.parametrize("blame", [LOST, KILLED, CRASHED])
def test_nobody_is_convicted_when_others_were_in_flight_beside_the_suspect(
    raw_redis: redis.Redis, blame: Blame
) -> None:
    for _ in range(5):
        assert die(raw_redis, blame, {-1: b"a", 2: b"b"})[:2] in ([1, 1], [0, 2])
    assert die(raw_redis, LOST, {-1: b"a"}) == [0, 1]  # the first point


def test_a_kill_accuses_and_convicts_nobody_while_others_are_killed(raw_redis: redis.Redis) -> None:
    for _ in range(5):
        assert die(raw_redis, KILLED, {-1: b"a"}, storm=True) == [0, 1]
    assert len(die(raw_redis, KILLED, {-1: b"a"})) == 3


def test_a_crash_convicts_at_once_although_others_are_killed(raw_redis: redis.Redis) -> None:
    assert len(die(raw_redis, CRASHED, {-1: b"a"}, storm=True)) == 3


def test_calm_is_not_waited_for_when_the_kills_go_on_for_too_long(raw_redis: redis.Redis) -> None:
    die(raw_redis, KILLED, {-1: b"a"})
    raw_redis.set(KEYS.killed, redis_ms(raw_redis) - HOUR_MS - 1, px=HOUR_MS)
    enter(raw_redis)
    raw_redis.hset(INFLIGHT, "-1", "a")
    assert len(reap(raw_redis, KILLED)) == 3


@pytest.mark.parametrize(
    ("blame", "running", "noted"),
    [
        (KILLED, {}, True),  # an idle process
        (KILLED, {1: b"a"}, True),
        (KILLED, {-1: b"a"}, True),
        (CRASHED, {1: b"a"}, False),
        (LOST, {1: b"a"}, False),
        (NOBODY, {1: b"a"}, False),
    ],
)
def test_only_a_kill_ends_the_calm(
    raw_redis: redis.Redis, blame: Blame, running: dict[int, bytes], noted: bool
) -> None:
    enter(raw_redis)
    if running:
        raw_redis.hset(INFLIGHT, mapping={str(token): raw for token, raw in running.items()})
    now = redis_ms(raw_redis)
    reap(raw_redis, blame)
    assert bool(raw_redis.exists(KEYS.killed)) is noted
    if noted:
        assert now <= int(raw_redis.get(KEYS.killed) or 0) <= redis_ms(raw_redis)
        assert 0 < raw_redis.pttl(KEYS.killed) <= CALM_MS


def test_a_kill_that_convicts_ends_the_calm_too(raw_redis: redis.Redis) -> None:
    die(raw_redis, KILLED, {-1: b"a"})
    assert len(die(raw_redis, KILLED, {-1: b"a"})) == 3
    assert raw_redis.exists(KEYS.killed) == 1


def test_the_beginning_of_the_kills_is_kept_when_one_follows_the_other(raw_redis: redis.Redis) -> None:
    raw_redis.set(KEYS.killed, 4711, px=1000)
    enter(raw_redis)
    reap(raw_redis, KILLED)
    assert raw_redis.get(KEYS.killed) == b"4711"
    assert 1000 < raw_redis.pttl(KEYS.killed) <= CALM_MS


@pytest.mark.parametrize(("blame", "home"), [(NOBODY, KEYS.suspects), (LOST, KEYS.accused), (KILLED, KEYS.accused)])
def test_what_died_alone_is_accused_and_what_was_cut_short_stays_a_suspect(
    raw_redis: redis.Redis, blame: Blame, home: str
) -> None:
    enter(raw_redis)
    raw_redis.hset(INFLIGHT, "-1", "a")
    raw_redis.rpush(home, "before")
    assert reap(raw_redis, blame) == [0, 1]
    assert raw_redis.lrange(home, 0, -1) == [b"before", b"a"]


@pytest.mark.parametrize(
    "raw",
    [b"no json", b"[1]", b"\xff", b'{"id": 7, "name": "a"b\n"}', b'{"id": "\xc3\xa9"}', b"[" * 5000],
)
def test_header_says_nothing_of_id_and_name_when_they_are_not_plain(raw_redis: redis.Redis, raw: bytes) -> None:
    die(raw_redis, CRASHED, {-1: raw})
    header, kept = record(raw_redis)
    assert set(header) == {"reason", "deaths", "at_ms"}
    assert kept == raw


def test_deaths_are_forgotten_when_they_are_too_old(raw_redis: redis.Redis) -> None:
    die(raw_redis, KILLED, {1: b"old"})
    raw_redis.zadd(
        KEYS.crashes, {name: redis_ms(raw_redis) - HOUR_MS - 1 for name in raw_redis.zrange(KEYS.crashes, 0, -1)}
    )
    assert die(raw_redis, KILLED, {1: b"old", 2: b"new"}) == [2, 0]
    assert raw_redis.zcard(KEYS.crashes) == raw_redis.hlen(KEYS.crash_counts) == 2
    assert 0 < raw_redis.pttl(KEYS.crashes) <= HOUR_MS
    assert 0 < raw_redis.pttl(KEYS.crash_counts) <= HOUR_MS


@pytest.mark.leaves_keys("plants a key of another type")
def test_what_ran_alone_stays_when_the_list_of_suspects_has_another_type(raw_redis: redis.Redis) -> None:
    enter(raw_redis)
    raw_redis.hset(INFLIGHT, "-1", "a")
    raw_redis.set(KEYS.suspects, "text")
    before = keyspace(raw_redis)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        reap(raw_redis, KILLED)
    assert keyspace(raw_redis) == before
