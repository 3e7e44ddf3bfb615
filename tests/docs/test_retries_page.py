"""docs/how-to/retries-and-delays.md is run as it stands there: its tasks, its producer, its commands, its figures."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from asyncq.core.envelope import LONGEST_DELAY_S
from asyncq.core.options import TaskOptions
from asyncq.core.retry import RetryPolicy
from tests.support.commands import asyncq, clean_environ, start_asyncq
from tests.support.lua import redis_ms
from tests.support.states import wait_until

PATH = Path(__file__).resolve().parents[2] / "docs/how-to/retries-and-delays.md"
PAGE = PATH.read_text(encoding="utf-8")
SCHEDULED = "asyncq:{task_queue}:task_queue:scheduled"
BANK = """
from types import SimpleNamespace

class BankError(Exception):
    def __init__(self, status): self.status = status

class CardDeclinedError(BankError): ...
class RateLimitedError(BankError): ...

KINDS = {402: CardDeclinedError, 429: RateLimitedError}

async def pay(order):
    status = order.get("status", 200)
    if status >= 400:
        raise KINDS.get(status, BankError)(status)

async def ask(order):
    return SimpleNamespace(status=order["status"], headers={"Retry-After": "40.5"})
"""


def blocks(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    return "\n".join(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's tasks and the bank that they call."""
    (tmp_path / "tasks.py").write_text(blocks("python"))
    (tmp_path / "bank.py").write_text(BANK)
    return tmp_path


@pytest.fixture
def worker(folder: Path, redis_url: str) -> Iterator[None]:
    process = start_asyncq("worker", folder=folder, ASYNCQ_REDIS_URL=redis_url)
    yield
    process.terminate()
    try:
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err


def push(client: redis.Redis, name: str, status: int, **more: object) -> None:
    fields = {"id": f"{name}-{status}", "name": name, "payload": {"status": status}, "timestamp": 1.5, **more}
    client.rpush("task_queue", json.dumps(fields))


def waiting(client: redis.Redis) -> dict[str, tuple[float, dict[str, Any]]]:
    """Seconds until each waiting message is due, and the message, by id."""
    payloads, now_ms = client.hgetall(f"{SCHEDULED}:payloads"), redis_ms(client)
    found = {}
    for unique, due_ms in client.zrange(SCHEDULED, 0, -1, withscores=True):
        message = json.loads(payloads[unique])
        found[message["id"]] = ((due_ms - now_ms) / 1000, message)
    return found


def dead(folder: Path, redis_url: str) -> dict[str, tuple[str, int]]:
    """Reason and attempt of each dead letter, by id, as the page's command shows them."""
    printed = asyncq("dead", "--json", folder=folder, ASYNCQ_REDIS_URL=redis_url).stdout
    return {row["id"]: (row["reason"], row["attempt"]) for row in map(json.loads, printed.splitlines())}


@pytest.mark.usefixtures("worker")
def test_each_error_has_its_way(folder: Path, redis_url: str, raw_redis: redis.Redis) -> None:
    for status in (402, 429, 503):
        push(raw_redis, "charge", status)
    push(raw_redis, "charge", 500, attempt=4)
    push(raw_redis, "charge", 501, attempt=5)
    push(raw_redis, "charge", 429, id="limited ten times", attempt=10)
    push(raw_redis, "charge", 500, id="limited nine times", attempt=10)
    for status in (404, 202, 429):
        push(raw_redis, "export", status)
    wait_until(lambda: (raw_redis.zcard(SCHEDULED), raw_redis.zcard("asyncq:{task_queue}:task_queue:dead")) == (6, 4))

    expected = {
        "charge-402": ("discarded", 1), "charge-501": ("exhausted", 5),
        "limited nine times": ("exhausted", 10), "export-404": ("discarded", 1),
    }  # fmt: skip
    assert expected == dead(folder, redis_url)
    found = waiting(raw_redis)
    bounds = {
        "charge-429": (15, 30, 2), "charge-503": (150, 300, 2), "charge-500": (8, 16, 5),
        "limited ten times": (1800, 3600, 11), "export-202": (10, 10, None), "export-429": (40.5, 40.5, 2),
    }  # fmt: skip
    assert set(bounds) == set(found)
    for name, (shortest_s, longest_s, attempt) in bounds.items():
        left_s, message = found[name]
        assert shortest_s - 5 <= left_s <= longest_s, name  # some time has passed since
        assert attempt == message.get("attempt"), name


def test_what_is_for_later_is_due_when_it_was_asked_for(folder: Path, redis_url: str, raw_redis: redis.Redis) -> None:
    environ = clean_environ(ASYNCQ_REDIS_URL=redis_url)
    produce = "import asyncio, tasks; asyncio.run(tasks.produce())"
    today = datetime.now(UTC).date()
    subprocess.run([sys.executable, "-c", produce], cwd=folder, env=environ, check=True, timeout=30)
    year = today.year + 1
    for line in filter(None, blocks("sh").replace("2030-", f"{year}-").splitlines()):
        command, *arguments = shlex.split(line)
        assert command == "asyncq"
        assert asyncq(*arguments, folder=folder, ASYNCQ_REDIS_URL=redis_url).returncode == 0, line

    found = {message["payload"]["order"]: left_s for left_s, message in waiting(raw_redis).values()}
    now_s = redis_ms(raw_redis) / 1000
    assert 3590 < found[7] <= 3600
    mornings = [datetime(d.year, d.month, d.day, 8, tzinfo=UTC) for d in (today + timedelta(1), today + timedelta(2))]
    assert any(abs(now_s + found[8] - morning.timestamp()) < 0.5 for morning in mornings)  # at midnight the later one
    assert 80 < found[9] <= 90
    assert abs(now_s + found[10] - datetime(year, 1, 1, 7, tzinfo=UTC).timestamp()) < 0.5


def test_its_figures_are_those_of_the_code() -> None:
    policy, options = RetryPolicy(), TaskOptions()
    base_s, page = policy.base_s, " ".join(PAGE.split())

    said = f"{base_s / 2:g} to {base_s:g} s, {base_s:g} to {2 * base_s:g} s, ...; at most {policy.cap_s:g} s; "
    assert f"Without options: {said}{options.max_attempts} attempts." in page
    assert 3660 * 86_400 == LONGEST_DELAY_S
    assert "more than ten years" in page
    for place in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (PATH.parent / place).exists()
