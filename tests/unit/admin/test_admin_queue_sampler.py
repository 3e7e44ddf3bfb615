"""Sizes of queues: asked seldom, bounded in time, absent when Redis is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from asyncq.admin.queues import QueueSample, QueueSampler
from asyncq.core.doors import QueueStats
from asyncq.core.errors import BrokerRefusedError, BrokerUnavailableError


def stats(queue: str) -> QueueStats:
    return QueueStats(
        queue=queue, ready=1, scheduled=2, due=3, in_flight=4, suspects=6, dead=5, workers=1, oldest_age_s=None
    )


class FakeInspector:
    """Answers from a table: an error to raise, or "hang", by queue."""

    def __init__(self, **by_queue: Exception | str) -> None:
        self.by_queue = by_queue
        self.asked: Counter[str] = Counter()

    async def stats(self, queue: str) -> QueueStats:
        self.asked[queue] += 1
        answer = self.by_queue.get(queue)
        if isinstance(answer, Exception):
            raise answer
        if answer == "hang":
            await asyncio.Event().wait()
        return stats(queue)

    async def ping(self) -> None:
        await self.stats("ping")

    async def close(self) -> None:
        raise AssertionError("the sampler does not own the inspector")


def sampler(inspector: FakeInspector, *queues: str, now: Callable[[], float] = lambda: 0.0) -> QueueSampler:
    return QueueSampler(inspector, lambda: queues, timeout_s=0.05, now_mono=now)


async def test_redis_is_asked_once_when_many_scrapes_come_within_a_second() -> None:
    inspector, now = FakeInspector(), 100.0
    asks = sampler(inspector, "a", "b", now=lambda: now)
    samples = await asyncio.gather(*(asks.sample() for _ in range(20)))
    assert set(samples) == {QueueSample(True, (stats("a"), stats("b")))}
    now = 100.99
    await asks.sample()
    assert inspector.asked == {"a": 1, "b": 1}
    now = 101.0
    await asks.sample()
    assert inspector.asked == {"a": 2, "b": 2}


async def test_the_sample_is_empty_after_the_time_out_and_kept_when_redis_hangs() -> None:
    inspector = FakeInspector(a="hang", b="hang")
    asks = sampler(inspector, "a", "b")
    async with asyncio.timeout(5):
        samples = await asyncio.gather(*(asks.sample() for _ in range(20)))
    assert set(samples) == {QueueSample(False)}
    assert inspector.asked == {"a": 1, "b": 1}


async def test_the_sample_is_empty_when_redis_is_away_and_full_again_when_it_is_back() -> None:
    inspector, now = FakeInspector(a=BrokerUnavailableError("away")), 0.0
    asks = sampler(inspector, "a", now=lambda: now)
    assert await asks.sample() == QueueSample(False)
    inspector.by_queue.clear()
    now = 1.0
    assert await asks.sample() == QueueSample(True, (stats("a"),))


async def test_only_the_refused_queue_is_absent_when_its_key_is_of_another_type() -> None:
    asks = sampler(FakeInspector(a=BrokerRefusedError("WRONGTYPE")), "a", "b")
    assert await asks.sample() == QueueSample(True, (stats("b"),))


@pytest.mark.parametrize("trouble", ["hang", BrokerUnavailableError("away")])
async def test_what_was_found_is_kept_when_another_queue_gets_no_answer_in_time(trouble: Exception | str) -> None:
    asks = sampler(FakeInspector(b=trouble), "a", "b", "c")
    assert await asks.sample() == QueueSample(True, (stats("a"), stats("c")))


async def test_no_queue_waits_for_the_answer_about_another() -> None:
    queues = [f"q{number}" for number in range(200)]
    inspector = FakeInspector(**dict.fromkeys(queues, "hang"))
    asks = QueueSampler(inspector, lambda: queues, timeout_s=60)
    asking = asyncio.ensure_future(asks.sample())
    while len(inspector.asked) < len(queues):
        await asyncio.sleep(0)
    asking.cancel()


async def test_redis_counts_as_away_when_it_refuses_every_queue() -> None:
    asks = sampler(FakeInspector(a=BrokerRefusedError("NOAUTH")), "a")
    assert await asks.sample() == QueueSample(False)


async def test_redis_is_pinged_when_there_is_no_queue() -> None:
    inspector = FakeInspector()
    assert await sampler(inspector).sample() == QueueSample(True)
    assert inspector.asked == {"ping": 1}


async def test_a_cancelled_scrape_is_cancelled_and_the_next_one_asks_again() -> None:
    inspector = FakeInspector(a="hang")
    asks = QueueSampler(inspector, lambda: ["a"], timeout_s=60)
    first = asyncio.ensure_future(asks.sample())
    while not inspector.asked:
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    inspector.by_queue.clear()
    assert (await asks.sample()).redis_up
