"""Hooks where a person meets them: under `asyncq worker`, and in a program that runs its workers itself."""

import asyncio
import signal
from pathlib import Path

import pytest
import redis

from asyncq import simple
from asyncq.core.codec import encode
from asyncq.core.errors import HookError
from asyncq.core.registry import Registry
from tests.support.commands import asyncq, start_asyncq
from tests.support.states import until, wait_until

TASKS = """
import pathlib, time
from asyncq import hooks

@hooks.{kind}
def connect():
    pathlib.Path("called").touch()
    {body}
"""


@pytest.mark.parametrize("kind", ["on_zygote_load", "on_worker_start"])
def test_a_worker_whose_hook_fails_does_not_start_and_says_why_in_one_sentence(
    kind: str, tmp_path: Path, redis_url: str
) -> None:
    (tmp_path / "tasks.py").write_text(TASKS.format(kind=kind, body="raise OSError('no database')"))
    done = asyncq("worker", "--log-format", "json", folder=tmp_path, ASYNCQ_REDIS_URL=redis_url)

    said = f"asyncq: the {kind} hook tasks.connect failed: OSError: no database ({tmp_path}/tasks.py:8)"
    assert (3, said) == (done.returncode, done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr


def test_a_hook_that_cannot_be_called_is_a_fault_of_the_app(tmp_path: Path, redis_url: str) -> None:
    (tmp_path / "tasks.py").write_text("from asyncq import hooks\n\n@hooks.on_crash\ndef tell():\n    pass\n")
    done = asyncq("worker", folder=tmp_path, ASYNCQ_REDIS_URL=redis_url)

    assert 3 == done.returncode
    assert "the on_crash hook tasks.tell: expected a function of one argument, the Crash, found ()" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_worker_that_is_ended_while_a_hook_blocks_ends_at_once(
    number: signal.Signals, tmp_path: Path, redis_url: str
) -> None:
    (tmp_path / "tasks.py").write_text(TASKS.format(kind="on_worker_start", body="time.sleep(60)"))  # sleeps: it blocks
    process = start_asyncq("worker", folder=tmp_path, ASYNCQ_REDIS_URL=redis_url)
    try:
        wait_until((tmp_path / "called").exists)
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    assert (0, "") == (process.returncode, "".join(line for line in err.splitlines() if "Error" in line))


async def test_all_crews_of_a_program_share_their_hooks(
    redis_url: str, raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
    registry, did = Registry(), list[str]()
    registry.hooks.on_zygote_load(lambda: did.append("load"))
    registry.hooks.on_worker_start(lambda: did.append("start"))
    registry.hooks.on_worker_stop(lambda: did.append("stop"))

    @registry.task("note")
    async def note(payload: str) -> None:
        did.append(payload)

    for queue in ("a", "b"):
        raw_redis.rpush(queue, encode({"id": queue, "name": "note", "payload": queue, "timestamp": 1.5}))
    crews = [asyncio.ensure_future(simple.start_workers(queue, 2, registry=registry)) for queue in ("a", "b")]
    await until(lambda: len(did) == 4)
    for crew in crews:
        crew.cancel()
    await asyncio.gather(*crews, return_exceptions=True)

    assert ["load", "start", "stop"] == [did[0], did[1], did[-1]]
    assert ["a", "b"] == sorted(did[2:4])
    assert 5 == len(did)


async def test_a_program_hears_of_a_hook_that_failed(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
    registry = Registry()

    @registry.hooks.on_worker_start
    async def connect() -> None:
        raise OSError("no database")

    with pytest.raises(HookError, match="OSError: no database"):
        await simple.start_workers("a", registry=registry)
