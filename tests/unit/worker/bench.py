"""A worker on a broker in memory with two handlers, and what happened to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from asyncq.core.doors import Slot
from asyncq.core.registry import Registry
from asyncq.worker.worker import Worker, WorkerSettings
from tests.support.memory_broker import MemoryBroker

MODES = [pytest.param(False, id="at-least-once"), pytest.param(True, id="at-most-once")]


def message(name: str, payload: object = None, **more: object) -> bytes:
    return json.dumps({"id": f"id-{payload}", "name": name, "payload": payload, "timestamp": 1.0, **more}).encode()


class Recording:
    """An Observer that remembers."""

    def __init__(self) -> None:
        self.running = 0
        self.ended: list[tuple[str, str, str, str]] = []
        self.dead: list[tuple[str, str, str]] = []
        self.counts: dict[str, int] = {}

    def started(self, queue: str) -> None:
        self.running += 1

    def finished(self, queue: str, task: str, outcome: str, duration_s: float, error_type: str) -> None:
        self.running -= 1
        self.ended.append((queue, task, outcome, error_type))

    def not_run(self, queue: str) -> None:
        self.running -= 1

    def dead_lettered(self, queue: str, task: str, reason: str) -> None:
        self.dead.append((queue, task, reason))

    def counted(self, metric: str, queue: str, amount: int) -> None:
        self.counts[metric] = self.counts.get(metric, 0) + amount


class Bench:
    """One running worker and what a test looks at."""

    def __init__(
        self,
        broker: MemoryBroker,
        at_most_once: bool = False,
        consumers: int = 4,
        *,
        slot: Slot | None = None,
        **more: Any,
    ) -> None:
        self.broker, self.registry, self.observer = broker, Registry(), Recording()
        self.seen: list[Any] = []
        self.gate = asyncio.Event()
        told = {"consumers": consumers, "at_most_once": at_most_once, "renew_s": 0.02, **more}
        settings = WorkerSettings(queues=list(broker.queues), **told)
        self.worker = Worker(broker, self.registry, settings, slot=slot, observer=self.observer, rng=Random(1))
        self.registry.task("note")(self.note)
        self.registry.task("hold")(self.hold)

    async def note(self, payload: object) -> None:
        self.seen.append(payload)

    async def hold(self, payload: object) -> None:
        self.seen.append(payload)
        await self.gate.wait()


@asynccontextmanager
async def working(bench: Bench) -> AsyncIterator[Bench]:
    task = asyncio.ensure_future(bench.worker.run())
    try:
        yield bench
    finally:
        bench.worker.cancel()
        async with asyncio.timeout(5):
            await task


def payloads(broker: MemoryBroker, queue: str = "q") -> list[Any]:
    """Of the ready messages, oldest first."""
    return [json.loads(raw)["payload"] for raw in broker.queues[queue].ready]
