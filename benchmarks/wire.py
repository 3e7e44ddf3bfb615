"""One command at a time over our wire and over redis-py's client: what a round trip costs each of them.

Both read and write through redis-py's connections with hiredis, speak RESP2, have up to ten connections, a time-out of
5 s and no retries. They take turns on the same server and core, so that the ratio holds where the figures do not.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
import uvloop
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.wire import AsyncWire
from benchmarks.server import private_redis

AT_ONCE: Final = 10

Call = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured."""

    calls: int
    runs: int
    server: str | None
    redis_cpu: int | None
    client_cpu: int | None


def main(plan: Plan) -> None:
    """Measure `plan.runs` times each, in turns; prints one JSON line per turn and the ratios."""
    if plan.client_cpu is not None:
        os.sched_setaffinity(0, {plan.client_cpu})
    with private_redis(plan.server, plan.redis_cpu, aof=False) as (url, version):
        rows = uvloop.run(_turns(plan, url))
    for row in rows:
        print(json.dumps({"scenario": "wire", "redis": version, **row}))
    for what in ("one_by_one", "ten_at_once"):
        for figure in ("us_per_call", "cpu_us_per_call"):
            wire, client = (
                statistics.median(row[figure] for row in rows if (row["what"], row["over"]) == (what, over))
                for over in ("wire", "redis-py")
            )
            print(f"{what}, {figure}: wire {wire:.1f}, redis-py {client:.1f}, ratio {client / wire:.2f}")


async def _turns(plan: Plan, url: str) -> list[dict[str, Any]]:
    wire = AsyncWire(ConnectionSettings(url), "bench", connections=AT_ONCE)
    client = redis.asyncio.Redis.from_url(
        url,
        protocol=2,
        max_connections=AT_ONCE,
        socket_timeout=5,
        socket_connect_timeout=5,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
    )
    calls: dict[str, Call] = {
        "wire": lambda: wire.call("RPUSH", "bench", b"x" * 120),
        "redis-py": lambda: client.rpush("bench", b"x" * 120),
    }
    rows = []
    for turn in range(plan.runs + 1):
        for what, at_once in (("one_by_one", 1), ("ten_at_once", AT_ONCE)):
            for over, call in calls.items():
                figures = await _measure(call, plan.calls, at_once)
                await wire.call("DEL", "bench")
                if turn:  # the first one warms up
                    rows.append({"what": what, "over": over, **figures})
    await client.aclose()
    await wire.close()
    return rows


async def _measure(call: Call, count: int, at_once: int) -> dict[str, float]:
    """Microseconds per call, and those of them in which this process had the core."""

    count -= count % at_once

    async def some() -> None:
        for _ in range(count // at_once):
            await call()

    started, cpu_started = time.perf_counter(), time.process_time()
    await asyncio.gather(*(some() for _ in range(at_once)))
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    return {"us_per_call": round(elapsed / count * 1e6, 2), "cpu_us_per_call": round(cpu / count * 1e6, 2)}
