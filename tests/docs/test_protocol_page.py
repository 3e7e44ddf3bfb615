"""docs/reference/protocol.md says what the code does: its tables, its examples, its recipes."""

import ast
import inspect
import json
import re
import shlex
from random import Random

import pytest
import redis

from asyncq.broker import pushes, settling
from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.inspector import RedisInspector, _dead_record
from asyncq.broker.keys import QueueKeys, queue_keys
from asyncq.broker.redis_broker import RedisBroker
from asyncq.broker.registration import TOMBSTONE_MS
from asyncq.cli.brokers import RENEWALS_PER_LEASE
from asyncq.client.client import Client
from asyncq.core import codec, settlement
from asyncq.core.envelope import Envelope
from asyncq.core.message import MAX_NAME_CHARS, REQUIRED_FIELDS
from asyncq.core.options import TaskOptions
from asyncq.core.outcome import Kind, Outcome
from asyncq.core.queue_name import hash_tag, is_queue_name
from asyncq.core.settings import CATALOGUE
from asyncq.core.settlement import Reschedule, SettlementRules, settle_for
from asyncq.maintenance import promoter
from asyncq.worker import popping, raised
from tests.docs.page import PACKAGE, PAGE, code_block, names, table

LUA = PACKAGE / "broker/lua"


def test_the_fields_are_those_of_the_code() -> None:
    documented = {names(row[0])[0]: row[1] for row in table("field")}

    assert {*REQUIRED_FIELDS, *codec._OPTIONAL} == set(documented)
    assert [*REQUIRED_FIELDS] == [names(row[0])[0] for row in table("field") if row[2] == "required"]
    for field in ("id", "name"):
        assert f"a text of 1 to {MAX_NAME_CHARS} characters" == documented[field]
    for field, (_, expected) in codec._OPTIONAL.items():
        assert documented[field].startswith(expected)


def test_what_is_absent_is_what_the_page_says() -> None:
    said = {names(row[0])[0]: row[2] for row in table("field")}
    message, options = codec.decode(b'{"id":"1","name":"n","payload":0,"timestamp":1.5}'), TaskOptions()

    assert f"absent = {message.attempt}" == said["attempt"]
    assert f"absent = the task's, by default {options.max_attempts}" == said["max_attempts"]
    assert f"absent = the task's, by default {options.timeout_s:g}" == said["timeout"]
    assert ("absent = never", None) == (said["expires_at"], message.expires_at)


def written_reasons() -> set[str]:
    """Every reason that the code can put into a dead letter."""
    found = {kind.value for kind in settlement._GIVEN_UP}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(ast.Name("DeadLetter"), [ast.Constant(str(reason)), *_]):
                    found.add(reason)
    for path in LUA.glob("*.lua"):
        found |= set(re.findall(r'"reason":"(\w+)"', path.read_text(encoding="utf-8")))
    return found


def test_the_reasons_are_those_that_the_code_writes() -> None:
    rows = table("reason")

    assert written_reasons() == {names(row[0])[0] for row in rows}


def spelt(queue_keys_: QueueKeys) -> set[str]:
    """The key patterns of the page, made by QueueKeys itself."""
    found = set()
    for name, member in inspect.getmembers(queue_keys_):
        if name.startswith("_") or name == "base":
            continue
        argument = "<id>" if name == "enqueued" else "<wid>"
        found.add(member(argument) if callable(member) else member)
    return {key.replace("{q}:q", "{T}:Q") if key != "q" else "Q" for key in found}


def test_the_keys_are_those_of_the_code() -> None:
    assert spelt(queue_keys("q")) == {names(row[0])[0] for row in table("key")}


def test_the_queue_names_and_their_tags_are_those_of_the_code() -> None:
    for queues, tag, dead in table("queue"):
        for queue in names(queues):
            if dead == "refused":
                assert not is_queue_name(queue)
            else:
                assert (tag, dead) == (f"`{hash_tag(queue)}`", f"`{queue_keys(queue).dead}`")


def default(limit: str, of: object) -> object:
    return inspect.signature(of).parameters[limit].default  # type: ignore[arg-type]


SETTINGS = {row.name: row for row in CATALOGUE}


@pytest.mark.parametrize(
    ("sentence", "expected", "actual"),
    [
        ("At most 1,048,576 bytes (`--max-message-bytes`)", 1_048_576, SETTINGS["max_message_bytes"].default),
        ("At most 1,048,576 bytes", 1_048_576, default("max_message_bytes", RedisBroker)),
        ("a key with a life of 10 minutes", 600_000, pushes.GUARD_MS),
        ("enqueued through the guard | producers | 10 minutes", 600_000, pushes.GUARD_MS),
        ("up to 5 s late", 5, promoter.IDLE_S),
        ("after ten minutes (`--unknown-task-park`)", 600, SETTINGS["unknown_task_park_s"].default),
        ("looked at every 5 s", 5, settlement.UNKNOWN_TASK_RECHECK_S),
        ("the last 3 kept", 3, settlement.MAX_ERRORS_KEPT),
        ("the last failed runs, at most 3", 3, settlement.MAX_ERRORS_KEPT),
        ("at most 500 characters", 500, raised.MAX_ERROR_CHARS),
        ("the last 8,000 characters", 8_000, settlement.MAX_TRACEBACK_CHARS),
        ("its first 65,536", 65_536, popping.OVERSIZED_KEPT_BYTES),
        ("or an hour after it was reaped", 3_600_000, TOMBSTONE_MS),
        ("15 s (`--lease`)", (15, 15_000), (SETTINGS["lease_s"].default, default("lease_ms", RedisBroker))),
        ("renewed 5 times as often", 5, RENEWALS_PER_LEASE),
        ("trimmed to 100,000", 100_000, settling.DeadLetterLimits().count),
        ("and 30 days", 30 * 86_400, settling.DeadLetterLimits().keep_s),
    ],
)
def test_a_figure_is_that_of_the_code(sentence: str, expected: object, actual: object) -> None:
    assert expected == actual
    assert sentence in " ".join(PAGE.split())


def test_the_members_of_an_error_are_those_that_a_retry_writes() -> None:
    line = PAGE.partition("One of `errors` is an object: ")[2].partition("\n- ")[0]
    raw = b'{"id":"1","name":"n","payload":0,"timestamp":1.5}'
    outcome = Outcome(kind=Kind.FAILED, traceback="t" * 9000)
    found = settle_for(outcome, raw, codec.decode(raw), TaskOptions(), SettlementRules(), 1.0, Random(1))

    assert isinstance(found, Reschedule)
    (error,) = codec.decode(found.raw).errors
    assert list(error) == names(line)
    assert 2000 == len(error["traceback"])
    assert "the last 2,000 characters" in line
    first, _, _ = error["traceback"].partition("\n")
    assert f'"{first}"' in line


def test_the_example_is_a_message() -> None:
    push, queue, text = shlex.split(code_block("RPUSH task_queue"))

    assert ("RPUSH", "task_queue") == (push, queue)
    assert "send_welcome_email" == codec.decode(text.encode()).name


def test_the_example_of_a_dead_letter_is_read() -> None:
    block = PAGE.partition('    {"at_ms"')[2].partition("\n\n")[0]
    record = _dead_record("1", ('{"at_ms"' + block).replace("\n    ", "\n").replace("[...]", "[]").encode())

    assert ("exhausted", "send") == (record.header["reason"], codec.decode(record.raw).name)


async def test_the_guarded_push_works_once_and_agrees_with_our_own(redis_url: str, raw_redis: redis.Redis) -> None:
    message = '{"id":"ID","name":"n","payload":0,"timestamp":1.5}'
    command = [part.replace("MESSAGE", message) for part in shlex.split(code_block("'NX', 'PX', 600000"))]

    assert [1, 0] == [raw_redis.execute_command(*command), raw_redis.execute_command(*command)]
    client = Client(redis_url)
    try:
        await client.enqueue(Envelope("task_queue", json.loads(message), retry_safe=True))
    finally:
        await client.close()

    assert [message.encode()] == raw_redis.lrange("task_queue", 0, -1)
    guard = queue_keys("task_queue").enqueued("ID")
    assert 590_000 < raw_redis.pttl(guard) <= 600_000
    assert b"1" == raw_redis.get(guard)


async def test_the_delayed_push_is_promoted_when_it_is_due(redis_url: str, raw_redis: redis.Redis) -> None:
    recipe = code_block("'ZADD', KEYS[1], now[1]")
    for unique, delay_ms in (("now", "0"), ("later", "3600000")):
        parts = [{"MESSAGE": unique, "UNIQUE": unique, "DELAY_MS": delay_ms}.get(p, p) for p in shlex.split(recipe)]
        assert 1 == raw_redis.execute_command(*parts)
    broker, inspector = RedisBroker(ConnectionSettings(redis_url)), RedisInspector(ConnectionSettings(redis_url))
    try:
        assert await broker.due_bell("task_queue", 1.0)
        moved, next_ms = await broker.promote("task_queue")
        stats = await inspector.stats("task_queue")
    finally:
        await broker.close()
        await inspector.close()

    assert (1, [b"now"], 1) == (moved, raw_redis.lrange("task_queue", 0, -1), stats.scheduled)
    assert 3_590_000 < (next_ms or 0) <= 3_600_000
