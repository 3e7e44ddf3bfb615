"""What people find in a dead letter after three failed attempts in a real worker, whatever it was that failed."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from asyncq import Envelope, SyncClient, create_task
from asyncq.core import codec
from tests.support.commands import asyncq, start_asyncq
from tests.support.states import wait_until

TASKS = """
from asyncq import RetryPolicy, task

soon = RetryPolicy(base_s=0.02)

@task("plain", retry=soon)
async def plain(payload, attempt):
    raise ValueError(f"attempt {attempt.number} failed")

@task("threaded", retry=soon)
def threaded(payload, attempt):
    raise ValueError(f"attempt {attempt.number} failed")

def even(depth):
    odd(depth + 1)

def odd(depth):
    even(depth + 1)

@task("recursion", retry=soon)
async def recursion(payload):
    even(0)

@task("huge", retry=soon)
async def huge(payload):
    raise ValueError("x" * 10_000_000)

@task("noted", retry=soon)
async def noted(payload):
    error = ValueError("declined")
    for number in range(2_000):
        error.add_note(f"note {number}")
    raise error

@task("grouped", retry=soon)
async def grouped(payload):
    error = KeyError("innermost")
    for number in range(30):
        error = ExceptionGroup(f"group {number}", [ValueError("v" * 1_000), error])
    raise error

@task("chained", retry=soon)
async def chained(payload):
    error = None
    for number in range(200):
        try:
            raise ValueError(f"number {number}") from error
        except ValueError as caught:
            error = caught
    raise error

@task("slow", retry=soon, timeout_s=0.05)
async def slow(payload):
    import asyncio
    await asyncio.Event().wait()

@task("gone", retry_by_error={LookupError: None})
async def gone(payload):
    raise KeyError("no such order")
"""
ENDS = {
    "plain": "ValueError: attempt 3 failed",
    "threaded": "ValueError: attempt 3 failed",
    "recursion": "RecursionError: maximum recursion depth exceeded",
    "huge": "xxx",
    "noted": "note 1999",
    "grouped": "+------------------------------------",
    "chained": "ValueError: number 199",
    "slow": "asyncio.exceptions.CancelledError",
    "gone": "KeyError: 'no such order'",
}
LIMIT = codec.MAX_MESSAGE_BYTES
CUT = "[the beginning was cut]\n"


def padded(name: str, room: int) -> Envelope:
    """A message that `room` more bytes would make too large."""
    message = create_task(name, "")
    return Envelope("q", {**message, "payload": "p" * (LIMIT - room - len(codec.encode(message)))})


@pytest.fixture
def letters(tmp_path: Path, redis_url: str, raw_redis: redis.Redis) -> dict[str, list[dict[str, Any]]]:
    """What `asyncq dead --json` prints by task, after a real worker has run everything as often as it may."""
    (tmp_path / "tasks.py").write_text(TASKS)
    sent = [Envelope("q", create_task(name, {"n": 1})) for name in ENDS]
    sent += [padded("plain", 10_000), padded("plain", 100), padded("huge", 30)]
    with SyncClient(redis_url) as client:
        client.enqueue_many(sent)
    worker = start_asyncq("worker", "--queue", "q", folder=tmp_path, ASYNCQ_REDIS_URL=redis_url)
    try:
        wait_until(lambda: raw_redis.zcard("asyncq:{q}:q:dead") == len(sent), 60.0, "all are dead")
    finally:
        worker.terminate()
        _, err = worker.communicate(timeout=20)
    assert worker.returncode == 0, err
    printed = asyncq("dead", "--json", "--limit", "100", "--queue", "q", folder=tmp_path, ASYNCQ_REDIS_URL=redis_url)
    assert printed.returncode == 0, printed.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for row in map(json.loads, printed.stdout.splitlines()):
        found.setdefault(row["name"], []).append(row)
    return found


def test_all_attempts_are_there_bounded_and_with_their_end(letters: dict[str, list[dict[str, Any]]]) -> None:
    began_at = time.time() - 60
    for name, end in ENDS.items():
        (letter,) = [row for row in letters[name] if len(row["message"]) < LIMIT // 2]
        attempts = 1 if name == "gone" else 3
        errors = json.loads(letter["message"]).get("errors", [])
        assert ("discarded" if name == "gone" else "exhausted", attempts) == (letter["reason"], letter["attempt"])
        assert [*range(1, attempts)] == [error["attempt"] for error in errors]
        assert sorted(error["at"] for error in errors) == [error["at"] for error in errors]
        assert all(began_at < error["at"] <= letter["at_ms"] / 1000 + 1 for error in errors)
        for error, most in [*((error, 2_000) for error in errors), (letter, 8_000)]:
            assert letter["error_type"] == error["error_type"]
            assert error["error"].startswith("did not finish within" if name == "slow" else error["error_type"])
            assert len(error["error"]) <= 500
            assert len(error["traceback"]) <= most
            assert error["traceback"].startswith(CUT) == (len(error["traceback"]) == most)
            assert error["traceback"].rstrip().endswith(end.replace("attempt 3", f"attempt {error['attempt']}")), name
        assert f"in {name}\n" in letter["traceback"] or letter["traceback"].startswith(CUT)


def test_where_it_happened_is_there_also_when_the_text_is_huge(letters: dict[str, list[dict[str, Any]]]) -> None:
    for letter in letters["huge"]:
        assert 'in huge\n    raise ValueError("x" * 10_000_000)\n' in letter["traceback"]
        assert "characters were cut]" in letter["traceback"]
        assert len(letter["message"]) <= LIMIT


def test_a_message_near_the_limit_keeps_the_errors_there_is_room_for(letters: dict[str, list[dict[str, Any]]]) -> None:
    large = [row for row in letters["plain"] if len(row["message"]) > LIMIT // 2]
    assert all(len(row["message"]) <= LIMIT for row in large)
    kept = {len(json.loads(row["message"]).get("errors", [])): row for row in large}

    assert {0, 2} == set(kept)
    for letter in large:
        assert (3, "exhausted", "ValueError: attempt 3 failed") == (
            letter["attempt"], letter["reason"], letter["error"],
        )  # fmt: skip
