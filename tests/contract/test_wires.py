"""Wires under the doors: connections that die or whose wire was closed meanwhile, calls that stall, waking."""

import asyncio

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.failures import ReplyLostError
from asyncq.broker.sync_wire import OneSyncWire
from asyncq.broker.wire import AsyncWire, BlockingLine
from tests.support.proxy import FaultyProxy
from tests.support.states import until


def connected(client: redis.Redis, flag: str = "") -> int:
    return sum(row["name"] == "asyncq:role" and flag in row["flags"] for row in client.client_list())


async def test_connection_closes_when_its_call_ends_after_the_wire_was_closed(
    raw_redis: redis.Redis, settings: ConnectionSettings
) -> None:
    wire = AsyncWire(settings, "role")
    call = asyncio.ensure_future(wire.call("BLPOP", "list", 5))
    await until(lambda: connected(raw_redis, "b") == 1)
    await wire.close()
    raw_redis.rpush("list", "a")
    assert await call == [b"list", b"a"]
    await until(lambda: not connected(raw_redis))


async def test_connection_of_a_thread_closes_when_its_call_ends_after_the_wire_was_closed(
    raw_redis: redis.Redis, settings: ConnectionSettings
) -> None:
    wire = OneSyncWire(settings, "role")
    call = asyncio.ensure_future(asyncio.to_thread(wire.call, "BLPOP", "list", 3))
    await until(lambda: connected(raw_redis, "b") == 1)
    wire.close()
    raw_redis.rpush("list", "a")
    assert await call == [b"list", b"a"]
    await until(lambda: not connected(raw_redis))


async def test_nothing_is_lost_when_a_connection_turns_out_dead_after_a_pause(
    raw_redis: redis.Redis, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = AsyncWire(ConnectionSettings(proxy.url, idle_check_s=30.0), "role")
    await wire.call("RPUSH", "list", "a")
    proxy.lose_reply_to = b"PING"
    loop, time = asyncio.get_running_loop(), asyncio.get_running_loop().time
    with monkeypatch.context() as later:
        later.setattr(loop, "time", lambda: time() + 31.0)
        await wire.call("RPUSH", "list", "b")
    assert not proxy.lose_reply_to  # the dead one was asked first, and nothing else sent over it
    assert raw_redis.lrange("list", 0, -1) == [b"a", b"b"]
    await wire.close()


async def test_blocking_call_fails_in_time_when_redis_stalls(raw_redis: redis.Redis, proxy: FaultyProxy) -> None:
    line = BlockingLine(ConnectionSettings(proxy.url, connect_timeout_s=60.0, reply_timeout_s=0.2), "role")
    proxy.swallow_request = b"BLPOP"
    with pytest.raises(ReplyLostError, match="no answer in time"):
        await asyncio.wait_for(line.call(("BLPOP", "list", "0.001"), 0.001), 5.0)
    assert await line.call(("BLPOP", "list", "0.001"), 0.001) is None
    await line.close()


async def test_wake_asks_again_when_redis_has_not_heard_of_the_call_yet(
    raw_redis: redis.Redis, settings: ConnectionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, wire = BlockingLine(settings, "role"), AsyncWire(settings, "waker")
    call, replies = wire.call, []

    async def too_early_at_first(*command: str) -> object:
        replies.append(await call(*command) if replies else 0)
        return replies[-1]

    monkeypatch.setattr(wire, "call", too_early_at_first)
    blocked = asyncio.ensure_future(line.call(("BLPOP", "list", "30"), 30.0))
    await until(lambda: connected(raw_redis, "b") == 1)
    await asyncio.wait_for(line.wake(wire), 2.0)
    assert await asyncio.wait_for(blocked, 2.0) is None
    assert replies == [0, 1]
    await line.close()
    await wire.close()


async def test_wake_ends_with_the_call_it_was_for_when_the_next_one_follows_at_once(
    raw_redis: redis.Redis, settings: ConnectionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, wire = BlockingLine(settings, "role"), AsyncWire(settings, "waker")
    asked = 0

    async def nobody_blocked(*_: object) -> int:
        nonlocal asked
        asked += 1
        return 0

    async def call_twice() -> list[object]:
        return [await line.call(("BLPOP", name, "10"), 10.0) for name in ("first", "second")]

    monkeypatch.setattr(wire, "call", nobody_blocked)
    calls = asyncio.ensure_future(call_twice())
    await until(lambda: connected(raw_redis, "b") == 1)
    waking = asyncio.ensure_future(line.wake(wire))
    await until(lambda: asked)
    raw_redis.rpush("first", "a")
    await asyncio.wait_for(waking, 2.0)
    raw_redis.rpush("second", "b")
    assert await calls == [[b"first", b"a"], [b"second", b"b"]]
    await line.close()


@pytest.mark.parametrize("connections", [1, 2])
async def test_next_call_gets_its_own_reply_when_the_one_before_was_cancelled_at_any_moment(
    redis_url: str, connections: int
) -> None:
    wire = AsyncWire(ConnectionSettings(redis_url), "role", connections)
    for turns in range(60):
        call = asyncio.ensure_future(wire.call("ECHO", f"cancelled-{turns}"))
        for _ in range(turns % 20):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert await wire.call("ECHO", f"asked-{turns}") == b"asked-%d" % turns
    await wire.close()


async def test_next_wait_gets_its_own_reply_when_the_one_before_was_cancelled(
    redis_url: str, raw_redis: redis.Redis
) -> None:
    line = BlockingLine(ConnectionSettings(redis_url), "role")
    for turns in range(20):
        wait = asyncio.ensure_future(line.call(("BLPOP", f"never-{turns}", "5"), 5.0))
        for _ in range(turns):
            await asyncio.sleep(0)
        wait.cancel()
        await asyncio.wait([wait])
        raw_redis.rpush("list", str(turns))
        assert await line.call(("BLPOP", "list", "5"), 5.0) == [b"list", b"%d" % turns]
    await line.close()


async def test_time_limit_of_a_caller_spoils_no_later_call(redis_url: str, raw_redis: redis.Redis) -> None:
    wire = AsyncWire(ConnectionSettings(redis_url), "role", 1)
    await wire.call("PING")
    raw_redis.execute_command("CLIENT", "PAUSE", 100, "ALL")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.call("ECHO", "too late"), 0.02)
    assert await wire.call("ECHO", "in time") == b"in time"
    await wire.close()
