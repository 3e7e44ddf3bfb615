"""The clients on a real server: Client in one event loop and in many, SyncClient in one thread and in many, forks."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, timezone

import pytest
import redis

from asyncq import Client, Envelope, Handle, Registry, SyncClient, create_task
from asyncq.broker.pushes import when
from asyncq.broker.scripts import script
from asyncq.client.per_loop import PerLoop
from asyncq.core import clock
from asyncq.core.errors import BrokerRefusedError, ConfigurationError, MessageTooLargeError, OutcomeUnknownError
from tests.support.lua import redis_ms
from tests.support.proxy import FaultyProxy
from tests.support.states import wait_until


class Threaded:
    """SyncClient behind Client's interface, so that one suite judges both."""

    def __init__(self, redis_url: str | None = None, max_message_bytes: int | None = None) -> None:
        self._sync = SyncClient(redis_url, max_message_bytes)

    async def enqueue(self, envelope: Envelope) -> Handle:
        return await asyncio.to_thread(self._sync.enqueue, envelope)

    async def enqueue_many(self, envelopes: Iterable[Envelope]) -> list[Handle]:
        return await asyncio.to_thread(self._sync.enqueue_many, envelopes)

    async def close(self) -> None:
        self._sync.close()


Kind = type[Client] | type[Threaded]
both = pytest.mark.parametrize("kind", [Client, Threaded])


def envelope(name: str = "x", payload: object = None, queue: str = "q", **how: object) -> Envelope:
    return Envelope(queue, create_task(name, payload), **how)  # type: ignore[arg-type]


def ids(client: redis.Redis, queue: str = "q") -> list[str]:
    return [json.loads(raw)["id"] for raw in client.lrange(queue, 0, -1)]


@both
async def test_handles_name_what_is_in_redis(redis_url: str, raw_redis: redis.Redis, kind: Kind) -> None:
    client = kind(redis_url)
    one = await client.enqueue(envelope())
    many = await client.enqueue_many(envelope(queue=queue) for queue in ("q", "r", "q"))
    await client.close()

    assert [one.id, many[0].id, many[2].id] == ids(raw_redis)
    assert [many[1].id] == ids(raw_redis, "r")
    assert ["q", "q", "r", "q"] == [handle.queue for handle in [one, *many]]


@both
async def test_a_thousand_messages_are_one_command_and_round_trip(
    redis_url: str, raw_redis: redis.Redis, kind: Kind
) -> None:
    client = kind(redis_url)
    await client.enqueue(envelope())
    for how, command in ({}, "rpush"), ({"delay_s": 9.0}, "evalsha"), ({"retry_safe": True}, "evalsha"):
        await client.enqueue(envelope(**how))  # the script is known from here on
        raw_redis.config_resetstat()
        await client.enqueue_many([envelope(**how) for _ in range(2500)])
        assert {command: 3} == sent(raw_redis)
    await client.enqueue_many([])
    await client.close()

    assert (5003, 2501) == (raw_redis.llen("q"), raw_redis.zcard("asyncq:{q}:q:scheduled"))


def sent(client: redis.Redis) -> dict[str, int]:
    """Commands of producers since the last reset, without those inside scripts."""
    stats = client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}
    if "evalsha" in calls:
        return {"evalsha": calls["evalsha"]}
    return {name: count for name, count in calls.items() if name in ("rpush", "script|load", "eval")}


def due(client: redis.Redis, queue: str = "q") -> dict[bytes, float]:
    """The waiting messages and when each is due, milliseconds on Redis' clock."""
    payloads = client.hgetall(f"asyncq:{{{queue}}}:{queue}:scheduled:payloads")
    scores = client.zrange(f"asyncq:{{{queue}}}:{queue}:scheduled", 0, -1, withscores=True)
    return {payloads[unique]: due_ms for unique, due_ms in scores}


@both
async def test_a_message_is_due_exactly_at_the_time_that_was_asked_for(
    redis_url: str, raw_redis: redis.Redis, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    etas = [datetime.fromtimestamp(redis_ms(raw_redis) / 1000 + 60, UTC).replace(microsecond=k * 1000) for k in (0, 7)]
    etas.append(etas[0].astimezone(timezone(timedelta(hours=-9))) + timedelta(days=365))
    monkeypatch.setattr(clock, "wall_s", lambda: time.time() - 86_400)  # the producer's clock: a day late
    client = kind(redis_url)
    sent = [envelope(eta=eta) for eta in etas]
    await client.enqueue_many(sent)
    await client.close()

    found = {json.loads(raw)["id"]: due_ms for raw, due_ms in due(raw_redis).items()}
    assert {each.handle.id: round(each.eta.timestamp() * 1000) for each in sent if each.eta} == found
    assert 0 == raw_redis.llen("q")


@both
async def test_a_time_that_has_passed_on_redis_clock_is_at_once(
    redis_url: str, raw_redis: redis.Redis, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "wall_s", lambda: time.time() - 86_400)  # by this clock it is still to come
    passed = datetime.fromtimestamp(redis_ms(raw_redis) / 1000, UTC)
    client = kind(redis_url)
    handles = await client.enqueue_many([envelope(eta=passed), envelope(eta=passed, retry_safe=True)])
    await client.close()

    assert [handle.id for handle in handles] == ids(raw_redis)
    assert {} == due(raw_redis)


@both
async def test_nothing_is_sent_when_one_message_of_many_is_refused(
    redis_url: str, raw_redis: redis.Redis, kind: Kind
) -> None:
    client = kind(redis_url, 1000)
    for bad, error in [
        (envelope(payload="x" * 1000), MessageTooLargeError),
        (envelope(payload=object()), ConfigurationError),
        (envelope(name=""), ConfigurationError),
        (Envelope("q", {"id": "1"}), ConfigurationError),
        (envelope(queue="a b"), ConfigurationError),
        (envelope(queue="asyncq:x"), ConfigurationError),
    ]:
        with pytest.raises(error):
            await client.enqueue_many([envelope(), bad, envelope()])
    await client.close()

    assert [] == list(raw_redis.keys("*"))


@pytest.mark.leaves_keys("plants a key of another type")
@both
async def test_earlier_queues_count_as_accepted_when_a_later_one_refuses(
    redis_url: str, raw_redis: redis.Redis, kind: Kind
) -> None:
    raw_redis.set("second", "text")
    client = kind(redis_url)
    sentence = "queue 'second': only the first 2 of 4 messages were accepted: .*WRONGTYPE.*; push the rest again"
    with pytest.raises(OutcomeUnknownError, match=sentence):
        await client.enqueue_many(envelope(queue=queue) for queue in ("first", "second", "first", "second"))
    with pytest.raises(BrokerRefusedError, match="WRONGTYPE"):
        await client.enqueue(envelope(queue="second"))
    await client.close()

    assert 2 == raw_redis.llen("first")


@pytest.mark.parametrize("kind", [Client, SyncClient])
def test_a_url_that_is_none_is_refused_at_once(kind: Callable[[str], object]) -> None:
    with pytest.raises(ConfigurationError, match="Redis URL: expected redis://"):
        kind("http://localhost")


@pytest.mark.parametrize("kind", [Client, SyncClient])
@pytest.mark.parametrize("limit", [0, -5, "5", 1.5, True])
def test_a_limit_that_is_none_is_refused_at_once(kind: type[Client] | type[SyncClient], limit: int) -> None:
    with pytest.raises(ConfigurationError, match=f"max_message_bytes: expected a whole number from 1, found {limit!r}"):
        kind(None, limit)


@both
async def test_a_client_is_found_a_redis_as_a_command_is(
    redis_url: str, raw_redis: redis.Redis, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
    monkeypatch.setenv("ASYNCQ_MAX_MESSAGE_BYTES", "1KiB")
    client = kind()
    await client.enqueue(envelope())
    with pytest.raises(MessageTooLargeError, match="the limit is 1024"):
        await client.enqueue(envelope(payload="x" * 2000))
    await client.close()

    assert 1 == raw_redis.llen("q")


@both
async def test_a_client_may_be_used_again_after_close(redis_url: str, raw_redis: redis.Redis, kind: Kind) -> None:
    client = kind(redis_url)
    for _ in range(2):
        await client.enqueue(envelope())
        await client.close()
    await client.close()

    assert 2 == raw_redis.llen("q")


@both
async def test_a_script_that_redis_forgot_is_loaded(redis_url: str, raw_redis: redis.Redis, kind: Kind) -> None:
    client = kind(redis_url)
    for _ in range(2):
        raw_redis.script_flush()
        await client.enqueue(envelope(retry_safe=True))
    await client.close()

    assert 2 == raw_redis.llen("q")


class TestRetrySafe:
    @pytest.fixture(autouse=True)
    def known(self, raw_redis: redis.Redis) -> None:
        """The server knows the script, so that what is lost is the reply of its run."""
        raw_redis.script_load(script("enqueue").source)

    @both
    async def test_a_message_is_enqueued_once_when_the_reply_is_lost(
        self, raw_redis: redis.Redis, proxy: FaultyProxy, kind: Kind
    ) -> None:
        client = kind(proxy.url)
        proxy.lose_reply_to = b"EVALSHA"
        handle = await client.enqueue(envelope(retry_safe=True))
        assert not proxy.lose_reply_to
        many = [envelope(retry_safe=True) for _ in range(1500)]
        proxy.lose_reply_to = many[1200].message["id"].encode()
        await client.enqueue_many(many)
        await client.close()

        assert not proxy.lose_reply_to
        assert [handle.id, *(each.handle.id for each in many)] == ids(raw_redis)

    @both
    async def test_a_plain_one_is_told_to_be_of_unknown_outcome_by_the_same_loss(
        self, raw_redis: redis.Redis, proxy: FaultyProxy, kind: Kind
    ) -> None:
        client = kind(proxy.url)
        for how in ({}, {"delay_s": 60.0}):
            sent = envelope(**how)
            proxy.lose_reply_to = sent.message["id"].encode()
            with pytest.raises(OutcomeUnknownError, match=r"the fate of the next 1 is unknown: .*may run them twice"):
                await client.enqueue(sent)
        await client.close()

        assert (1, 1) == (raw_redis.llen("q"), raw_redis.zcard("asyncq:{q}:q:scheduled"))

    @both
    async def test_a_late_request_enqueues_nothing_when_its_repetition_was_faster(
        self, raw_redis: redis.Redis, proxy: FaultyProxy, kind: Kind
    ) -> None:
        client = kind(proxy.url)
        sent = envelope(retry_safe=True, delay_s=0.0)
        proxy.hold_request = sent.message["id"].encode()
        await client.enqueue(sent)
        await proxy.release()
        await client.close()

        assert [sent.handle.id] == ids(raw_redis)

    @both
    async def test_a_delayed_one_waits_once_when_the_reply_is_lost(
        self, raw_redis: redis.Redis, proxy: FaultyProxy, kind: Kind
    ) -> None:
        client = kind(proxy.url)
        sent = envelope(retry_safe=True, delay_s=60.0)
        proxy.lose_reply_to = sent.message["id"].encode()
        await client.enqueue(sent)
        await client.close()

        assert (0, 1) == (raw_redis.llen("q"), raw_redis.zcard("asyncq:{q}:q:scheduled"))

    @both
    async def test_one_with_a_time_waits_once_until_then_when_the_reply_is_lost(
        self, raw_redis: redis.Redis, proxy: FaultyProxy, kind: Kind
    ) -> None:
        client, eta = kind(proxy.url), datetime.now(UTC) + timedelta(hours=1)
        sent = envelope(retry_safe=True, eta=eta)
        proxy.lose_reply_to = sent.message["id"].encode()
        await client.enqueue(sent)
        await client.close()

        assert not proxy.lose_reply_to
        assert [when(eta=eta)] == [f"{due_ms:.0f}" for due_ms in due(raw_redis).values()]

    @both
    async def test_the_sender_may_send_the_same_again_when_every_reply_was_lost(
        self, raw_redis: redis.Redis, proxy: FaultyProxy, kind: Kind
    ) -> None:
        client, other = kind(proxy.url), kind(proxy.url)
        sent = envelope(retry_safe=True)
        proxy.lose_every_reply_to = sent.message["id"].encode()
        sentence = r"fate of the next 1 is unknown: .*pushing them again with the same ids within 10 minutes is safe"
        with pytest.raises(OutcomeUnknownError, match=sentence):
            await client.enqueue(sent)
        assert 3 == proxy.lost
        proxy.lose_every_reply_to = b""
        await other.enqueue(sent)
        await client.close()
        await other.close()

        assert [sent.handle.id] == ids(raw_redis)

    @pytest.mark.leaves_keys("plants a key of another type")
    @both
    async def test_a_refusal_is_passed_on_at_once(self, redis_url: str, raw_redis: redis.Redis, kind: Kind) -> None:
        raw_redis.set("q", "text")
        client = kind(redis_url)
        with pytest.raises(BrokerRefusedError, match="WRONGTYPE"):
            await client.enqueue(envelope(retry_safe=True))
        await client.close()

        assert [b"q"] == raw_redis.keys("*")

    @both
    async def test_the_key_of_a_business_event_is_enqueued_once(
        self, redis_url: str, raw_redis: redis.Redis, kind: Kind
    ) -> None:
        async def handler(payload: int) -> None: ...

        bill = Registry().task("bill", queue="q")(handler).using(message_id="invoice-7", retry_safe=True)
        client = kind(redis_url)
        for attempt in range(3):
            await client.enqueue(bill.envelope(attempt))
        await client.close()

        assert ["invoice-7"] == ids(raw_redis)
        assert 590_000 < raw_redis.pttl("asyncq:{q}:q:enqueued:invoice-7") <= 600_000


def test_one_client_works_in_many_event_loops_in_turn(redis_url: str, raw_redis: redis.Redis) -> None:
    client, before = Client(redis_url), len(raw_redis.client_list())
    for _ in range(5):
        asyncio.run(enqueued_by(client, 3))

    assert 15 == raw_redis.llen("q")
    wait_until(lambda: len(raw_redis.client_list()) == before)  # each loop took its connections along


def test_one_client_works_in_event_loops_of_many_threads(redis_url: str, raw_redis: redis.Redis) -> None:
    client = Client(redis_url)
    run_in_threads(8, lambda: asyncio.run(enqueued_by(client, 25)))

    assert 200 == len(set(ids(raw_redis)))


def test_one_sync_client_works_in_many_threads(redis_url: str, raw_redis: redis.Redis) -> None:
    with SyncClient(redis_url) as client:
        run_in_threads(8, lambda: [client.enqueue(envelope()) for _ in range(25)])

        assert 200 == len(set(ids(raw_redis)))
        assert sum(row["name"] == "asyncq:producer" for row in raw_redis.client_list()) <= 8


def run_in_threads(count: int, work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def enqueued_by(client: Client, count: int) -> None:
    await asyncio.gather(*(client.enqueue(envelope()) for _ in range(count)))


def test_a_child_that_goes_on_with_its_parents_event_loop_gets_connections_of_its_own() -> None:
    made: list[object] = []

    async def make() -> object:
        made.append(object())
        return made[-1]

    async def close(thing: object) -> None: ...

    per_loop, loop = PerLoop(make, close), asyncio.new_event_loop()
    ours = loop.run_until_complete(per_loop.current())
    pid = os.fork()
    if pid == 0:
        try:
            theirs = loop.run_until_complete(per_loop.current())
            os._exit(0 if theirs is not ours and theirs is loop.run_until_complete(per_loop.current()) else 3)
        finally:
            os._exit(1)

    assert 0 == os.waitpid(pid, 0)[1]
    assert ours is loop.run_until_complete(per_loop.current())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


FORKING = """
import asyncio, os, sys
from asyncq import Envelope, SyncClient, create_task, task
from asyncq.client.client import default_client

@task("x", queue="q")
async def handler(payload): ...

sync = SyncClient()
inherited = asyncio.new_event_loop()  # as a program that keeps one loop and forks between two runs

async def ask(count):
    await asyncio.gather(*(handler.enqueue(os.getpid()) for _ in range(count)))

def both():
    for _ in range(10):
        sync.enqueue(handler.envelope(os.getpid()))
    asyncio.run(ask(10))

inherited.run_until_complete(ask(1))
both()
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        both()
        both()
        os._exit(0)
    pids.append(pid)
both()
inherited.run_until_complete(ask(1))
assert [0, 0, 0] == [os.waitpid(pid, 0)[1] for pid in pids]
inherited.run_until_complete(ask(1))
inherited.run_until_complete(inherited.shutdown_asyncgens())
inherited.close()
sync.close()
"""


def test_parent_and_children_enqueue_side_by_side_after_a_fork(redis_url: str, raw_redis: redis.Redis) -> None:
    env = {**os.environ, "ASYNCQ_REDIS_URL": redis_url}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING], capture_output=True, text=True, env=env, timeout=60, check=False
    )

    assert ("", "", 0) == (done.stdout, done.stderr, done.returncode)
    assert 3 + 2 * 20 + 3 * 2 * 20 == len(set(ids(raw_redis)))
