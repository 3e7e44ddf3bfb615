"""No-op drain: how many tasks per second one worker process does when each task does nothing.

The server has one core, the worker another. The worker is the one of production, with its metrics in a shared segment
but without a supervisor beside it. Rates are between 5 % and 98 % of the run, so that start and end do not count.
Commands are those the worker sends (a script is one), counted where they leave, over the whole run.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import redis

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.redis_sync import SyncProducer
from asyncq.broker.wire import AsyncWire, BlockingLine
from asyncq.cli import rooms
from asyncq.core import codec
from asyncq.core.envelope import create_task
from asyncq.core.registry import default_registry
from asyncq.core.settings import load
from asyncq.metrics.recorder import Recorder
from asyncq.metrics.segment import Segment
from asyncq.worker import main as worker_main
from benchmarks.server import cpu_seconds, private_redis

QUEUE = "bench"
FROM, TO = 0.05, 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured."""

    tasks: int
    consumers: int
    delivery: str
    aof: bool
    runs: int
    server: str | None
    redis_cpu: int | None
    worker_cpu: int | None


def main(plan: Plan) -> list[dict[str, Any]]:
    """Measure `plan.runs` times; prints one JSON line each and the median."""
    rows = []
    for _ in range(plan.runs):
        with private_redis(plan.server, plan.redis_cpu, aof=plan.aof) as (url, version):
            rows.append(_one(plan, url, version))
            print(json.dumps(rows[-1]), flush=True)
    rates = [row["tasks_per_s"] for row in rows]
    commands = [row["commands_per_task"] for row in rows]
    print(
        f"no-op drain, {plan.delivery}, K={plan.consumers}: median {statistics.median(rates):,.0f} tasks/s "
        f"(min {min(rates):,.0f}, max {max(rates):,.0f}), "
        f"{statistics.median(commands):.4f} client commands per task"
    )
    return rows


def _one(plan: Plan, url: str, version: str) -> dict[str, Any]:
    producer = SyncProducer(ConnectionSettings(url))
    for start in range(0, plan.tasks, 1000):
        count = min(1000, plan.tasks - start)
        producer.push_many(QUEUE, [codec.encode(create_task("noop", {"n": start + k})) for k in range(count)])
    producer.close()
    client = redis.Redis.from_url(url)
    before = cpu_seconds(client)
    ours, theirs = get_context("spawn").Pipe()
    child = get_context("spawn").Process(target=_work, args=(theirs, asdict(plan), url))
    child.start()
    theirs.close()  # or the end of a worker that fails would never be heard
    found: dict[str, Any] = ours.recv()
    child.join()
    found["redis_us_per_task"] = round((cpu_seconds(client) - before) / plan.tasks * 1e6, 2)
    left = [key for key in client.scan_iter("*") if b"inflight" in key or b"inbox" in key]
    client.close()
    return {"scenario": "drain", **asdict(plan), "redis": version, **found, "left_in_flight": len(left)}


def _work(pipe: Connection, fields: dict[str, Any], url: str) -> None:
    """The worker process."""
    plan = Plan(**fields)
    if plan.worker_cpu is not None:
        os.sched_setaffinity(0, {plan.worker_cpu})
    done = _register()
    sent = _count_commands()
    settings = load({"per_proc": plan.consumers, "delivery": plan.delivery}, environ={}).settings
    recorder = Recorder(Segment.create(1).region(0), default_registry)
    samples: list[tuple[float, int]] = []

    def build() -> worker_main.Life:
        life = rooms.worker_life(settings, url, rooms.Work(default_registry, (QUEUE,)), observer=recorder)
        watch = asyncio.ensure_future(_watch(life, done, plan.tasks, samples))
        return worker_main.Life(worker=life.worker, service=watch, close=life.close)

    cpu = time.process_time()
    worker_main.run(build)
    cpu = time.process_time() - cpu
    pipe.send(_figures(samples, plan.tasks, cpu, sent))


def _register() -> list[int]:
    done = [0]

    @default_registry.task("noop")
    async def noop(payload: object) -> None:
        done[0] += 1

    return done


async def _watch(life: worker_main.Life, done: list[int], tasks: int, samples: list[tuple[float, int]]) -> None:
    while done[0] < tasks:
        samples.append((time.perf_counter(), done[0]))
        await asyncio.sleep(0.005)
    samples.append((time.perf_counter(), done[0]))
    life.worker.drain()


def _count_commands() -> dict[str, int]:
    """Count what leaves this process for Redis."""
    sent = {"commands": 0, "round_trips": 0}
    pipeline, block = AsyncWire.round_trip, BlockingLine.call

    async def counted_pipeline(self: AsyncWire, commands: Any) -> Any:
        sent["commands"] += len(commands)
        sent["round_trips"] += 1
        return await pipeline(self, commands)

    async def counted_block(self: BlockingLine, command: Any, block_s: float) -> Any:
        sent["commands"] += 1
        sent["round_trips"] += 1
        return await block(self, command, block_s)

    AsyncWire.round_trip = counted_pipeline  # type: ignore[method-assign]
    BlockingLine.call = counted_block  # type: ignore[method-assign]
    return sent


def _figures(samples: list[tuple[float, int]], tasks: int, cpu_s: float, sent: dict[str, int]) -> dict[str, Any]:
    start = next(sample for sample in samples if sample[1] >= tasks * FROM)
    end = next(sample for sample in samples if sample[1] >= tasks * TO)
    if end[0] == start[0]:
        raise ValueError(f"expected more tasks than are done within one look, found {tasks}")
    return {
        "tasks_per_s": round((end[1] - start[1]) / (end[0] - start[0])),
        "worker_us_per_task": round(cpu_s / tasks * 1e6, 2),
        "commands_per_task": round(sent["commands"] / tasks, 5),
        "round_trips_per_task": round(sent["round_trips"] / tasks, 5),
    }
