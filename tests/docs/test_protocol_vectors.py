"""Every vector of docs/reference/protocol-vectors.json against the code, and the messages through a real worker."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.inspector import RedisInspector, _dead_record
from asyncq.broker.keys import queue_keys
from asyncq.broker.redis_broker import RedisBroker
from asyncq.client.client import Client
from asyncq.core import codec
from asyncq.core.codec import MAX_MESSAGE_BYTES
from asyncq.core.envelope import Envelope
from asyncq.core.errors import ConfigurationError, MessageDecodeError
from asyncq.core.options import TaskOptions
from asyncq.core.outcome import Kind, Outcome
from asyncq.core.queue_name import hash_tag
from asyncq.core.registry import Registry
from asyncq.core.retry import RetryPolicy
from asyncq.core.settlement import Reschedule, SettlementRules, settle_for
from asyncq.core.task import Attempt
from asyncq.worker.worker import Worker, WorkerSettings
from tests.docs.page import ROOT, names, table
from tests.support.accused import accuse
from tests.support.states import until

VECTORS = json.loads((ROOT / "docs/reference/protocol-vectors.json").read_text(encoding="utf-8"))
MODES = [pytest.param(False, id="at-least-once"), pytest.param(True, id="at-most-once")]


def each(section: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in VECTORS[section]])


def raw_of(vector: dict[str, Any], key: str = "text") -> bytes:
    encoded = "base64" if key == "text" else f"{key}_base64"
    if encoded in vector:
        return base64.b64decode(vector[encoded], validate=True)
    if "parts" in vector:
        return "".join(text * times for text, times in vector["parts"]).encode()
    found: str = vector[key]
    return found.encode()


def exactly(value: Any) -> str:
    """A text that tells 1 from 1.0 and 0.0 from -0.0, whatever the order of keys."""
    return json.dumps(value, sort_keys=True)


def test_every_vector_says_what_it_is_for() -> None:
    sections = {name: value for name, value in VECTORS.items() if isinstance(value, list)}

    assert {"accepted", "refused", "retries", "queue_names", "keys", "dead_letters"} == set(sections)
    assert 1 == VECTORS["protocol"]
    assert sum(map(len, sections.values())) >= 60
    for vectors in sections.values():
        assert len(vectors) == len({vector["name"] for vector in vectors})
        assert all(vector["name"] and vector["why"].endswith(".") for vector in vectors)
    assert {names(row[0])[0] for row in table("list")} == set(sections)


@each("accepted")
def test_an_accepted_message_is_read_as_its_fields(vector: dict[str, Any]) -> None:
    message = codec.decode(raw_of(vector))

    assert len(raw_of(vector)) <= MAX_MESSAGE_BYTES
    if "fields" in vector:
        assert exactly(vector["fields"]) == exactly(dict(message.fields))
    else:
        part = {key: message.fields[key] for key in vector["part_of_fields"]}
        assert exactly(vector["part_of_fields"]) == exactly(part)


@each("refused")
def test_a_refused_message_is_refused_with_one_sentence(vector: dict[str, Any]) -> None:
    raw = raw_of(vector)
    if vector["reason"] == "oversized":
        assert len(raw) > MAX_MESSAGE_BYTES
        return

    assert "malformed" == vector["reason"]
    with pytest.raises(MessageDecodeError, match=r"^[^\n]+$"):
        codec.decode(raw)


@each("retries")
def test_a_retry_has_these_bytes(vector: dict[str, Any]) -> None:
    before, after = vector["before"].encode(), vector["after"].encode()
    if vector["changes"]:
        assert after == codec.replace_members(before, vector["changes"])
    if "outcome" in vector:
        said = dict(vector["outcome"])
        outcome = Outcome(kind=Kind(said.pop("kind")), **said)
        rules, now_s = SettlementRules(), vector["now"]
        found = settle_for(outcome, before, codec.decode(before), TaskOptions(), rules, now_s, Random(1))
        assert isinstance(found, Reschedule)
        assert after == found.raw


@each("queue_names")
def test_a_queue_name_has_its_tag_or_is_refused(vector: dict[str, Any]) -> None:
    if vector["tag"] is not None:
        assert vector["tag"] == hash_tag(vector["queue"])
        return

    with pytest.raises(ConfigurationError, match=r"^queue name .+"):
        hash_tag(vector["queue"])


@each("keys")
def test_the_keys_have_these_names(vector: dict[str, Any]) -> None:
    keys = queue_keys(vector["queue"])

    found = {name: getattr(keys, name) for name in vector["keys"]}
    for name in ("lease", "inflight", "inbox"):
        found[name] = found[name](vector["wid"])
    found["enqueued"] = found["enqueued"](vector["id"])
    assert vector["keys"] == found


@each("dead_letters")
def test_a_dead_letter_is_read_as_header_and_message(vector: dict[str, Any]) -> None:
    found = _dead_record("1", raw_of(vector, "record"))

    assert exactly(vector["header"]) == exactly(found.header)
    assert raw_of(vector, "message") == found.raw


@asynccontextmanager
async def working(redis_url: str, registry: Registry, at_most_once: bool = False) -> AsyncIterator[RedisInspector]:
    """A worker of queue `q` on a real server, and an inspector to look at it."""
    settings = ConnectionSettings(redis_url)
    broker, inspector = RedisBroker(settings), RedisInspector(settings)
    told = WorkerSettings(queues=["q"], consumers=5, at_most_once=at_most_once)
    running = asyncio.ensure_future(Worker(broker, registry, told).run())
    try:
        yield inspector
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await broker.close()
        await inspector.close()


@pytest.mark.parametrize("at_most_once", MODES)
async def test_a_real_worker_runs_what_is_accepted(redis_url: str, raw_redis: redis.Redis, at_most_once: bool) -> None:
    registry, ran = Registry(), []

    @registry.task("send")
    async def send(payload: Any, attempt: Attempt) -> None:
        ran.append((attempt.id, attempt.number, payload))

    sent = [vector for vector in VECTORS["accepted"] if (vector.get("fields") or {"name": "send"})["name"] == "send"]
    assert len(sent) >= len(VECTORS["accepted"]) - 2
    raw_redis.rpush("q", *map(raw_of, sent))
    async with working(redis_url, registry, at_most_once):
        await until(lambda: len(ran) == len(sent))
        await until(lambda: not raw_redis.keys("asyncq:*:inflight:*"))
        assert (0, 0) == (raw_redis.llen("q"), raw_redis.exists(queue_keys("q").dead))

    found = {id_: (number, payload) for id_, number, payload in ran}
    assert len(found) == len(sent)
    for vector in sent:
        fields = vector.get("fields") or vector["part_of_fields"]
        number, payload = found[fields["id"]]
        assert fields.get("attempt", 1) == number
        if "payload" in fields:
            assert exactly(fields["payload"]) == exactly(payload)


@pytest.mark.parametrize("at_most_once", MODES)
async def test_a_real_worker_buries_what_is_refused(redis_url: str, raw_redis: redis.Redis, at_most_once: bool) -> None:
    refused = VECTORS["refused"]
    raw_redis.rpush("q", *map(raw_of, refused))
    async with working(redis_url, Registry(), at_most_once) as inspector:
        await until(lambda: raw_redis.zcard(queue_keys("q").dead) == len(refused))
        letters = await inspector.dead_letters("q", len(refused))

    expected = [(vector["reason"], raw_of(vector)[:65_536]) for vector in refused]
    assert sorted(expected) == sorted((letter.header["reason"], letter.raw) for letter in letters)
    for letter in letters:
        more = {"error"} if letter.header["reason"] == "malformed" else {"size_bytes", "sha1"}
        assert {"reason", "at_ms"} | more == set(letter.header)


async def test_a_message_near_the_limit_fails_and_keeps_its_payload(redis_url: str, raw_redis: redis.Redis) -> None:
    """Regression: the error that a retry adds made it larger than what is taken, and its payload was cut off."""
    registry = Registry()

    @registry.task("fail", retry=RetryPolicy(base_s=0))
    async def fail(payload: str) -> None:
        raise ValueError("e" * 400)

    frame = b'{"id":"1","name":"fail","payload":"%s","timestamp":1.5,"max_attempts":2}'
    raw = frame % (b"x" * (MAX_MESSAGE_BYTES - len(frame) - 50))
    keys, broker = queue_keys("q"), RedisBroker(ConnectionSettings(redis_url))
    raw_redis.rpush("q", raw)
    async with working(redis_url, registry) as inspector:
        await until(lambda: raw_redis.hlen(keys.payloads))
        assert [raw[:-1] + b',"attempt":2}'] == raw_redis.hvals(keys.payloads)
        assert (1, None) == await broker.promote("q")
        await until(lambda: raw_redis.zcard(keys.dead))
        (letter,) = await inspector.dead_letters("q")
    await broker.close()

    assert ("exhausted", 2) == (letter.header["reason"], letter.header["attempt"])
    assert raw[:-1] + b',"attempt":2}' == letter.raw


async def test_every_key_has_the_type_of_the_page(redis_url: str, raw_redis: redis.Redis) -> None:
    """All but the inbox, which is a list for an instant: BLMOVE makes nothing else."""
    types = {names(row[0])[0]: row[1] for row in table("key")}
    registry = Registry()

    @registry.task("hold")
    async def hold(payload: Any) -> None:
        await asyncio.Event().wait()

    fields = {"id": "1", "name": "hold", "payload": 0, "timestamp": 1.5}
    client, broker, found = Client(redis_url), RedisBroker(ConnectionSettings(redis_url)), set()
    raw_redis.rpush("q", codec.encode({**fields, "id": "accused"}))
    await accuse(broker, "q")
    raw_redis.rpush("q", codec.encode({**fields, "id": "suspected"}))
    await accuse(broker, "q", (False, False))
    await broker.close()
    await client.enqueue(Envelope("q", fields, retry_safe=True))
    raw_redis.rpush("q", b"{}", codec.encode({**fields, "name": "nobody"}), *[codec.encode(fields)] * 100)
    async with working(redis_url, registry):
        await until(lambda: raw_redis.exists(queue_keys("q").dead, queue_keys("q").due) == 2)
        for key in raw_redis.scan_iter():
            pattern = pattern_of(key.decode())
            found.add(pattern)
            assert types[pattern] == raw_redis.type(key).decode()
    await client.close()

    assert set(types) - found <= {"asyncq:{T}:Q:inbox:<wid>"}


def pattern_of(key: str) -> str:
    """A key of queue `q` as the page's table spells it."""
    if key == "q":
        return "Q"
    key = key.replace("{q}:q", "{T}:Q").replace(":enqueued:1", ":enqueued:<id>")
    return re.sub(r":(lease|inflight|inbox):.+", r":\1:<wid>", key)
