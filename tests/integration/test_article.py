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
from asyncq.core.errors import ConfigurationError, MessageTooLargeError
from asyncq.core.registry import Registry
from asyncq.core.task import Task
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

    async def test_who_joins_while_the_last_one_goes_begins_afresh(
        self, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
        began: list[object] = []

        async def note(payload: object) -> None:
            began.append(payload)

        monkeypatch.setitem(simple.TASK_REGISTRY._tasks, "note", Task("note", note))  # type: ignore[attr-defined]
        await simple.enqueue_task("q5", asyncq.create_task("note", 1))
        last = asyncio.ensure_future(simple.worker("q5"))
        await until(lambda: began == [1])
        last.cancel()
        late = asyncio.ensure_future(simple.worker("q5"))
        await simple.enqueue_task("q5", asyncq.create_task("note", 2))
        await until(lambda: began == [1, 2])
        late.cancel()
        await asyncio.gather(last, late, return_exceptions=True)

    async def test_consumers_are_as_many_as_the_most_members_at_one_time(
        self, redis_url: str, raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
        running, gate = [0], asyncio.Event()

        async def hold(payload: object) -> None:
            running[0] += 1
            await gate.wait()

        monkeypatch.setitem(simple.TASK_REGISTRY._tasks, "hold", Task("hold", hold))  # type: ignore[attr-defined]
        members = [asyncio.ensure_future(simple.worker("q6")) for _ in range(2)]
        await until(lambda: raw_redis.zcount("asyncq:{q6}:q6:workers", 0, 0) == 1)
        for _ in range(5):
            members.pop().cancel()
            members.append(asyncio.ensure_future(simple.worker("q6")))
            await asyncio.sleep(0)
        for number in range(8):
            await simple.enqueue_task("q6", asyncq.create_task("hold", number))
        await until(lambda: running[0] == 2)
        members.append(asyncio.ensure_future(simple.worker("q6")))
        await until(lambda: running[0] == 3)
        for member in members:
            member.cancel()
        await asyncio.gather(*members, return_exceptions=True)

        assert 3 == running[0]

    async def test_a_crew_that_failed_is_replaced_by_the_next_member(
        self, redis_url: str, raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
        monkeypatch.setenv("ASYNCQ_LEASE", "soon")
        failed = await asyncio.gather(simple.worker("q7"), simple.worker("q7"), return_exceptions=True)
        assert [ConfigurationError, ConfigurationError] == [type(error) for error in failed]
        monkeypatch.delenv("ASYNCQ_LEASE")
        member = asyncio.ensure_future(simple.worker("q7"))
        await until(lambda: raw_redis.zcount("asyncq:{q7}:q7:workers", 0, 0) == 1)
        member.cancel()
        await asyncio.gather(member, return_exceptions=True)


async def test_settings_count_without_a_command_line(
    redis_url: str, raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"REDIS_URL": redis_url, "UNKNOWN_TASK_PARK": "0", "MAX_MESSAGE_BYTES": "1KiB"}.items():
        monkeypatch.setenv(f"ASYNCQ_{name}", value)
    with pytest.raises(MessageTooLargeError, match="the limit is 1024"):
        await simple.enqueue_task("q8", asyncq.create_task("nobody", "x" * 2000))
    raw_redis.rpush("q8", json.dumps(asyncq.create_task("nobody", "x" * 2000)))
    raw_redis.rpush("q8", json.dumps(asyncq.create_task("nobody", 1)))
    crew = asyncio.ensure_future(simple.start_workers("q8", 1))
    await until(lambda: raw_redis.zcard("asyncq:{q8}:q8:dead") == 2)
    crew.cancel()
    await asyncio.gather(crew, return_exceptions=True)

    records = raw_redis.hvals("asyncq:{q8}:q8:dead:records")
    assert ["oversized", "unknown_task"] == sorted(json.loads(r.partition(b"\n")[0])["reason"] for r in records)  # type: ignore[union-attr]


def test_a_mere_producer_loads_no_worker() -> None:
    program = """
import sys
from asyncq import create_task, enqueue_task
rooms = {"worker", "maintenance", "admin", "metrics", "supervisor"}
print(sorted(name for name in sys.modules if name.startswith("asyncq.") and name.split(".")[1] in rooms))
print({"uvloop", "click", "asyncq.broker.redis_broker", "asyncq.broker.embedded", "tomllib"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "[]\nset()\n" == done.stdout


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


RUDE_LOOPS = """
import asyncio, gc, os
from asyncq import simple
def descriptors():
    gc.collect()
    return len(os.listdir("/dev/fd"))
for number in range(21):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(simple.enqueue_task("q9", simple.create_task("x", number)))
    loop.close()  # without shutdown_asyncgens, the one hook that a loop offers
    if number == 0:
        before = descriptors()
print(descriptors() - before)
"""


def test_loops_that_end_rudely_leave_no_connections_behind(redis_url: str, raw_redis: redis.Redis) -> None:
    env = {**os.environ, "ASYNCQ_REDIS_URL": redis_url}
    done = subprocess.run([sys.executable, "-c", RUDE_LOOPS], capture_output=True, text=True, check=True, env=env)

    assert ("0\n", 21) == (done.stdout, raw_redis.llen("q9"))


def test_enqueue_works_from_many_event_loops_in_turn(
    redis_url: str, raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
    before = len(raw_redis.client_list())
    for _ in range(3):
        asyncio.run(simple.enqueue_task("q3", asyncq.create_task("x", 1)))

    assert 3 == raw_redis.llen("q3")
    wait_until(lambda: len(raw_redis.client_list()) == before)  # each loop took its connections along
