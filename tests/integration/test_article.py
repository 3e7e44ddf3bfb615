"""The article's vocabulary: its program whole, its own worker loop, and the same names used in odd ways."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

import asyncq
from asyncq import simple
from asyncq.core.task import Registry, Task
from tests.support.states import until, wait_until

PROGRAM = Path(__file__).with_name("article_program.py")


def start(redis_url: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ASYNCQ_REDIS_URL": redis_url},
    )


def finish(process: "subprocess.Popen[str]") -> str:
    out, _ = process.communicate(timeout=20)
    assert 0 == process.returncode
    return out


def test_the_program_runs_with_only_its_imports_changed(redis_url: str, raw_redis: redis.Redis) -> None:
    assert "" == finish(start(redis_url, "produce"))
    raws = raw_redis.lrange("task_queue", 0, -1)
    assert ["id", "name", "payload", "timestamp"] == list(json.loads(raws[0]))
    worker = start(redis_url, "work")
    try:
        assert worker.stdout is not None
        lines = {worker.stdout.readline().strip() for _ in range(6)}
        wait_until(lambda: raw_redis.llen("task_queue") == 0)
    finally:
        worker.terminate()
        worker.wait(10)
        assert worker.stdout is not None
        worker.stdout.close()

    assert {"event signup"} | {f"welcome email to user{number}@example.com" for number in range(5)} == lines


def test_execute_with_retry_sleeps_one_and_two_seconds(redis_url: str) -> None:
    started = time.monotonic()

    assert "done 3\n" == finish(start(redis_url, "retry"))
    assert 3.0 <= time.monotonic() - started < 6.0


async def test_execute_with_retry_raises_what_the_last_attempt_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def note(delay_s: float) -> None:
        slept.append(delay_s)

    async def fail(payload: object) -> None:
        raise KeyError(payload)

    monkeypatch.setattr(asyncio, "sleep", note)
    with pytest.raises(KeyError, match="7"):
        await simple.execute_with_retry(fail, 7)

    assert [1, 2] == slept


async def test_the_articles_own_worker_loop_runs_over_the_registry(redis_url: str, raw_redis: redis.Redis) -> None:
    """A loop that a reader of the article has in his own code: BLPOP, look up, await."""
    registry, seen = Registry(), []

    @registry.task("double")
    async def double(payload: int) -> None:
        seen.append(payload * 2)

    registry["plain"] = lambda payload: seen.append(payload)  # type: ignore[assignment]
    for name, payload in [("double", 4), ("nobody", 0), ("plain", 5)]:
        raw_redis.rpush("task_queue", json.dumps(simple.create_task(name, payload)))

    while raw_redis.llen("task_queue"):
        _, raw = raw_redis.blpop(["task_queue"])  # type: ignore[misc]
        message = json.loads(raw)
        handler = registry.get(message["name"])
        if handler:
            await handler(message["payload"])

    assert [8, 5] == seen


class TestWorkerCoroutines:
    async def test_several_share_one_registration_and_more_may_join(
        self, redis_url: str, raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
        running, most, gate = [0], [0], asyncio.Event()

        async def hold(payload: object) -> None:
            running[0] += 1
            most[0] = max(most[0], running[0])
            await gate.wait()
            running[0] -= 1

        monkeypatch.setitem(simple.TASK_REGISTRY._tasks, "hold", Task("hold", hold))  # type: ignore[attr-defined]
        for _ in range(6):
            await simple.enqueue_task("q1", asyncq.create_task("hold", None))
        members = [asyncio.ensure_future(simple.worker("q1")) for _ in range(2)]
        await until(lambda: running[0] == 2)
        members.append(asyncio.ensure_future(simple.worker("q1")))
        await until(lambda: running[0] == 3)
        assert 1 == raw_redis.zcount("asyncq:{q1}:q1:workers", 0, 0)
        gate.set()
        await until(lambda: raw_redis.llen("q1") == 0 and running[0] == 0)
        for member in members:
            member.cancel()
        await asyncio.gather(*members, return_exceptions=True)

        assert 3 == most[0]
        assert [] == list(raw_redis.keys("*inflight*"))

    async def test_the_last_one_to_go_hands_back_what_runs(
        self, redis_url: str, raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
        began = asyncio.Event()

        async def hold(payload: object) -> None:
            began.set()
            await asyncio.Event().wait()

        monkeypatch.setitem(simple.TASK_REGISTRY._tasks, "hold", Task("hold", hold))  # type: ignore[attr-defined]
        await simple.enqueue_task("q2", asyncq.create_task("hold", None))
        member = asyncio.ensure_future(simple.worker("q2"))
        await began.wait()
        member.cancel()
        await asyncio.gather(member, return_exceptions=True)

        assert 1 == raw_redis.llen("q2")


async def test_nothing_is_left_in_redis_when_idle_workers_are_cancelled(
    redis_url: str, raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait on the server is ended first: a wait of unknown fate would need a tombstone for an hour."""
    monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
    crew = asyncio.ensure_future(simple.start_workers("q4", 3))
    await until(lambda: any("b" in row["flags"] and ":" in row["name"][8:] for row in raw_redis.client_list()))
    crew.cancel()
    await asyncio.gather(crew, return_exceptions=True)

    assert [] == list(raw_redis.keys("*"))


def test_enqueue_works_from_many_event_loops_in_turn(
    redis_url: str, raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
    before = len(raw_redis.client_list())
    for _ in range(3):
        asyncio.run(simple.enqueue_task("q3", asyncq.create_task("x", 1)))

    assert 3 == raw_redis.llen("q3")
    wait_until(lambda: len(raw_redis.client_list()) == before)  # each loop took its connections along
