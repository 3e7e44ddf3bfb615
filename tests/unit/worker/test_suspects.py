"""A worker runs suspects alone, beside ordinary work and without it, in a drain and when it is reaped."""

import asyncio
import os
import signal
import sys
from typing import Any

import pytest

from asyncq.core.doors import Taken
from asyncq.core.nulls import NullSlot
from asyncq.worker import solitude
from tests.support.memory_broker import MemoryBroker, MemoryRegistration
from tests.support.states import until
from tests.unit.worker.bench import Bench, message, working


class Page(NullSlot):
    """Remembers what it was told of solitude."""

    def __init__(self) -> None:
        self.told: list[bool] = []
        self.takes = self.own_hands = 0

    def set_alone(self, alone: bool) -> None:
        self.told.append(alone)

    def set_own_hand(self) -> None:
        self.own_hands += 1

    def set_taken(self) -> None:
        self.takes += 1


class Company:
    """A task `meet` that notes how many ran beside it, and of whom."""

    def __init__(self, bench: Bench) -> None:
        self.now: list[Any] = []
        self.beside_suspects: list[int] = []
        self.seen: list[Any] = []

        @bench.registry.task("meet")
        async def meet(payload: Any) -> None:
            self.now.append(payload)
            self.seen.append(payload)
            for _ in range(3):
                await asyncio.sleep(0.001)  # sleeps: others would begin meanwhile
                if any(str(other).startswith("suspect") for other in self.now):
                    self.beside_suspects.append(len(self.now))
            self.now.remove(payload)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (("os.kill", os.getpid(), int(signal.SIGKILL)), 1),
        (("os.killpg", os.getpid(), int(signal.SIGKILL)), 1),
        (("os.kill", 0, int(signal.SIGKILL)), 1),
        (("os.kill", os.getpid(), int(signal.SIGTERM)), 0),
        (("os.kill", os.getppid(), int(signal.SIGKILL)), 0),
        (("os.putenv", os.getpid(), int(signal.SIGKILL)), 0),
    ],
)
async def test_a_suspect_that_kills_its_own_process_is_seen_before_it_does(
    call: tuple[str, int, int], expected: int
) -> None:
    broker, page = MemoryBroker(), Page()
    bench = Bench(broker, slot=page)

    @bench.registry.task("kill")
    async def kill(payload: Any) -> None:
        sys.audit(*call)  # what Python itself says before it sends a signal

    broker.queues["q"].suspects.append(message("kill", 1))
    async with working(bench):
        await until(lambda: page.told == [True, False])
        assert page.own_hands == expected
        broker.queues["q"].push(message("kill", 2))
        await until(lambda: not broker.queues["q"].ready and not any(broker.queues["q"].inflight.values()))

    assert page.own_hands == expected, "what is no suspect is not looked at"


async def test_suspects_run_alone_one_after_the_other_when_the_queue_is_empty() -> None:
    broker, page = MemoryBroker(), Page()
    bench = Bench(broker, slot=page, consumers=10)
    company = Company(bench)
    broker.queues["q"].suspects.extend(message("meet", f"suspect {number}") for number in range(5))
    async with working(bench):
        await until(lambda: len(company.seen) == 5 and not broker.queues["q"].suspects)
        await until(lambda: page.told == [True, False] * 5)

    assert {1} == set(company.beside_suspects)
    assert company.seen == [f"suspect {number}" for number in range(5)]
    assert {0} == {len(held) for held in broker.queues["q"].inflight.values()} or not broker.queues["q"].inflight


async def test_a_busy_worker_makes_room_for_suspects_and_works_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solitude, "PAUSE_S", 0.05)
    broker = MemoryBroker()
    bench = Bench(broker, consumers=10)
    company = Company(bench)
    broker.queues["q"].suspects.extend(message("meet", f"suspect {number}") for number in range(3))
    broker.queues["q"].push(*(message("meet", number) for number in range(500)))
    async with working(bench):
        await until(lambda: len(company.seen) == 503)

    assert {1} == set(company.beside_suspects)
    suspects = [number for number, payload in enumerate(company.seen) if str(payload).startswith("suspect")]
    assert max(suspects) < 490  # not only when all else was done


async def test_ordinary_messages_are_not_starved_by_many_suspects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solitude, "SESSION_S", 0.02)
    broker = MemoryBroker()
    bench = Bench(broker, consumers=10)
    company = Company(bench)
    broker.queues["q"].suspects.extend(message("meet", f"suspect {number}") for number in range(200))
    async with working(bench):
        await until(lambda: len(company.seen) > 3)
        broker.queues["q"].push(message("meet", "ordinary"))
        await until(lambda: "ordinary" in company.seen)
        assert len(broker.queues["q"].suspects) > 100

    assert {1} == set(company.beside_suspects)


async def test_a_worker_that_never_gets_empty_goes_on_with_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solitude, "PAUSE_S", 0.01)
    monkeypatch.setattr(solitude, "PATIENCE_S", 0.02)
    broker = MemoryBroker()
    bench = Bench(broker, consumers=2)
    company = Company(bench)
    broker.queues["q"].push(message("hold", 1))
    async with working(bench):
        await until(lambda: bench.seen == [1])
        broker.queues["q"].suspects.append(message("meet", "suspect"))
        broker.queues["q"].push(*(message("meet", number) for number in range(300)))
        await until(lambda: len(company.seen) == 300)
        assert company.beside_suspects == []
        bench.gate.set()
        await until(lambda: company.seen[-1] == "suspect")


async def test_a_suspect_goes_back_to_the_suspects_when_the_worker_is_cancelled() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)
    broker.queues["q"].suspects.append(message("hold", "suspect"))
    async with working(bench):
        await until(lambda: bench.seen == ["suspect"])
        bench.worker.cancel()
        await until(lambda: len(broker.queues["q"].suspects) == 1)

    assert not broker.queues["q"].ready


async def test_a_worker_in_its_drain_takes_no_suspect() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)
    broker.queues["q"].push(message("hold", 1))
    async with working(bench):
        await until(lambda: bench.seen == [1])
        broker.queues["q"].suspects.append(message("note", "suspect"))
        bench.worker.drain()
        bench.gate.set()

    assert bench.seen == [1]
    assert len(broker.queues["q"].suspects) == 1


async def test_a_worker_that_is_reaped_while_a_suspect_runs_takes_ordinary_work_again() -> None:
    broker, page = MemoryBroker(), Page()
    bench = Bench(broker, slot=page)
    broker.queues["q"].suspects.append(message("hold", "suspect"))
    async with working(bench):
        await until(lambda: bench.seen == ["suspect"])
        broker.queues["q"].suspects.clear()
        await broker.reap("q", broker.registrations[0].wid, forced=True)
        broker.queues["q"].ready.clear()
        await until(lambda: len(broker.registrations) == 2)
        bench.gate.set()
        broker.queues["q"].push(message("note", 2))
        await until(lambda: 2 in bench.seen)

    assert page.told == [True, False]
    assert bench.observer.counts["late_settlements"] == 1


async def test_a_worker_that_came_too_late_for_a_suspect_goes_on_with_ordinary_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take_suspect = MemoryRegistration._take_suspect

    def too_late(registration: MemoryRegistration, mine: dict[int, bytes], late: int) -> Taken:
        broker.queues["q"].suspects.clear()  # somebody else was faster
        return take_suspect(registration, mine, late)

    monkeypatch.setattr(MemoryRegistration, "_take_suspect", too_late)
    broker = MemoryBroker()
    bench = Bench(broker)
    broker.queues["q"].suspects.append(message("note", "suspect"))
    async with working(bench):
        await until(lambda: broker.registrations and broker.registrations[0].alone)
        broker.queues["q"].push(message("note", 1))
        await until(lambda: bench.seen == [1])


async def test_a_worker_that_is_refused_a_suspect_goes_on_with_ordinary_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncq.worker.bell.WAIT_S", 0.05)
    broker = MemoryBroker()
    bench = Bench(broker)
    async with working(bench):
        await until(lambda: broker.registrations and broker.registrations[0].waiting)
        # What a take left whose reply was lost: Redis records more in flight than this worker knows of.
        broker.queues["q"].inflight[broker.registrations[0].wid][99] = message("note", "unknown")
        broker.queues["q"].suspects.append(message("note", "suspect"))
        await until(lambda: broker.registrations[0].alone)
        broker.queues["q"].push(message("note", 1))
        await until(lambda: bench.seen == [1])
        assert len(broker.queues["q"].suspects) == 1
        broker.queues["q"].inflight[broker.registrations[0].wid].clear()


@pytest.mark.parametrize("at_most_once", [False, True])
async def test_the_page_hears_of_every_answered_take(at_most_once: bool) -> None:
    broker, page = MemoryBroker(), Page()
    async with working(Bench(broker, at_most_once, slot=page)) as bench:
        await until(lambda: page.takes)
        before = page.takes
        broker.queues["q"].push(message("note", 1))
        await until(lambda: bench.seen == [1])
        assert page.takes > before


async def test_an_idle_worker_hears_of_a_suspect_that_rang_no_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncq.worker.bell.WAIT_S", 0.05)
    broker = MemoryBroker()
    async with working(Bench(broker)) as bench:
        await until(lambda: broker.registrations and broker.registrations[0].waiting)
        broker.queues["q"].suspects.append(message("note", "suspect"))
        await until(lambda: bench.seen == ["suspect"])
