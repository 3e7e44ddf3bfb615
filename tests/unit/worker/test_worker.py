"""The worker against a broker in memory: what it runs, settles, hands back, and how often it asks."""

import asyncio
import json
import time

import pytest

from asyncq.core.errors import Discard, Retry, Snooze
from asyncq.core.task import Attempt
from tests.support.memory_broker import MemoryBroker
from tests.support.states import until
from tests.unit.worker.bench import MODES, Bench, message, working


@pytest.mark.parametrize("at_most_once", MODES)
async def test_every_message_is_run_once_and_nothing_stays_in_flight(at_most_once: bool) -> None:
    broker = MemoryBroker("a", "b")
    async with working(Bench(broker, at_most_once)) as bench:
        for number in range(300):
            broker.queues["ab"[number % 2]].push(message("note", number))
        await until(lambda: len(bench.seen) == 300)

    assert list(range(300)) == sorted(bench.seen)
    assert {"succeeded"} == {outcome for _, _, outcome, _ in bench.observer.ended}
    assert ({}, {}, 0) == (broker.queues["a"].inflight, broker.queues["b"].inflight, bench.observer.running)


@pytest.mark.parametrize("at_most_once", MODES)
async def test_a_long_queue_does_not_starve_the_others(at_most_once: bool) -> None:
    broker = MemoryBroker("long", "short")
    bench = Bench(broker, at_most_once, consumers=1)

    @bench.registry.task("nap")
    async def nap(payload: object) -> None:
        await asyncio.sleep(0.02)  # sleeps: a handler so slow that nothing is read ahead
        bench.seen.append(payload)

    broker.queues["long"].push(*(message("nap", "long") for _ in range(100)))
    broker.queues["short"].push(*(message("nap", "short") for _ in range(3)))
    async with working(bench):
        await until(lambda: bench.seen.count("short") == 3)

    assert bench.seen.count("long") < 20


async def test_trouble_with_one_queue_stops_no_other() -> None:
    broker = MemoryBroker("bad", "good")
    broker.refusing.add("bad")
    async with working(Bench(broker)) as bench:
        broker.queues["good"].push(*(message("note", number) for number in range(20)))
        await until(lambda: len(bench.seen) == 20)


@pytest.mark.parametrize("at_most_once", MODES)
async def test_at_most_k_run_at_the_same_time_and_the_rest_waits(at_most_once: bool) -> None:
    broker = MemoryBroker()
    async with working(Bench(broker, at_most_once, consumers=3)) as bench:
        broker.queues["q"].push(*(message("hold", number) for number in range(10)))
        await until(lambda: len(bench.seen) == 3)
        await until(lambda: bench.broker.trips > 20 or at_most_once)
        assert 3 == len(bench.seen)
        bench.gate.set()
        await until(lambda: len(bench.seen) == 10)


@pytest.mark.parametrize("at_most_once", MODES)
async def test_trouble_with_one_message_stops_no_other(at_most_once: bool) -> None:
    broker = MemoryBroker()
    bench = Bench(broker, at_most_once)

    @bench.registry.task("fail", max_attempts=1)
    async def fail(payload: object) -> None:
        raise ValueError("broken")

    @bench.registry.task("leave", max_attempts=1)
    async def leave(payload: object) -> None:
        raise SystemExit(3)

    async with working(bench):
        broker.queues["q"].push(b"{", b"\xff", message("nobody"), message("fail"), message("leave"))
        broker.queues["q"].push(message("note", "after"), message("note", "late", expires_at=5))
        await until(lambda: bench.seen == ["after"] and len(broker.queues["q"].dead) == 5)

    assert ["exhausted", "exhausted", "expired", "malformed", "malformed"] == sorted(
        reason for reason, _, _ in broker.queues["q"].dead
    )
    assert [5.0] == [delay_s for delay_s, _ in broker.queues["q"].scheduled]  # the unknown task is parked
    tracebacks = [details.get("traceback", "") for _, _, details in broker.queues["q"].dead]
    assert any("ValueError: broken" in str(text) and "in fail" in str(text) for text in tracebacks)
    assert 0 == bench.observer.running


async def test_an_error_that_json_cannot_say_is_retried_like_any_other() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)

    @bench.registry.task("odd")
    async def odd(payload: object) -> None:
        raise ValueError("\ud800\n  second line")

    async with working(bench):
        broker.queues["q"].push(message("odd"))
        await until(lambda: broker.queues["q"].scheduled)

    (error,) = json.loads(broker.queues["q"].scheduled[0][1])["errors"]
    assert error["error"] == "ValueError: \\ud800 second line"


async def test_a_handler_says_what_becomes_of_its_message() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)
    controls = {"retry": Retry(9.0), "snooze": Snooze(8.0), "discard": Discard("not wanted")}

    @bench.registry.task("control")
    async def control(payload: str) -> None:
        raise controls[payload]

    async with working(bench):
        broker.queues["q"].push(*(message("control", name) for name in controls))
        await until(lambda: len(bench.observer.ended) == 3)

    assert [8.0, 9.0] == sorted(delay_s for delay_s, _ in broker.queues["q"].scheduled)
    assert [("discarded", "not wanted")] == [
        (reason, str(details["error"]).rpartition(": ")[2]) for reason, _, details in broker.queues["q"].dead
    ]
    assert {"retried", "snoozed", "discarded"} == {outcome for _, _, outcome, _ in bench.observer.ended}


async def test_a_delay_that_is_no_number_is_a_failure_like_any_other() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)

    class RateLimited(Snooze):
        def __init__(self) -> None:
            """Says nothing to its base class, so not for how long either."""

    @bench.registry.task("snooze")
    async def snooze(payload: str) -> None:
        raise Snooze("5") if payload == "text" else RateLimited()  # type: ignore[arg-type]

    async with working(bench):
        broker.queues["q"].push(message("snooze", "text"), message("snooze", "nothing"), message("note", 1))
        await until(lambda: bench.seen == [1] and len(broker.queues["q"].scheduled) == 2)

    assert [("retried", "TypeError"), ("retried", "RateLimited")] == [
        ended[2:] for ended in bench.observer.ended if ended[1] == "snooze"
    ]


async def test_a_handler_may_ask_for_its_attempt() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)

    @bench.registry.task("ask")
    async def ask(payload: object, attempt: Attempt) -> None:
        bench.seen.append(attempt)

    async with working(bench):
        broker.queues["q"].push(message("ask", 7, attempt=2))
        await until(lambda: bench.seen)

    assert [Attempt(id="id-7", name="ask", queue="q", number=2, max_attempts=3)] == bench.seen


async def test_a_def_handler_runs_beside_the_event_loop() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)
    loop = asyncio.get_running_loop()

    @bench.registry.task("block")
    def block(payload: object) -> None:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(5)  # dead-locks on the loop's own thread
        bench.seen.append(payload)

    async with working(bench):
        broker.queues["q"].push(message("block", 1))
        await until(lambda: bench.seen == [1])


async def test_a_def_handler_that_returns_an_awaitable_is_run_to_its_end() -> None:
    broker = MemoryBroker()
    bench = Bench(broker)
    bench.registry.task("wrapped")(lambda payload: bench.note(payload))

    async with working(bench):
        broker.queues["q"].push(message("wrapped", 1))
        await until(lambda: bench.observer.ended)

    assert [1] == bench.seen


class TestTimeLimit:
    async def test_an_attempt_over_its_limit_is_cancelled_and_retried(self) -> None:
        broker = MemoryBroker()
        async with working(Bench(broker)) as bench:
            broker.queues["q"].push(message("hold", 1, timeout=0.05), message("note", 2))
            await until(lambda: broker.queues["q"].scheduled)

        assert [1, 2] == bench.seen
        assert ("q", "hold", "timed_out", "TimeoutError") in bench.observer.ended

    async def test_a_handler_that_swallows_the_cancellation_keeps_its_consumer_until_it_returns(self) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, consumers=1)
        swallowed = asyncio.Event()

        @bench.registry.task("stubborn", timeout_s=0.05)
        async def stubborn(payload: object) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.set()
            await bench.gate.wait()

        async with working(bench):
            broker.queues["q"].push(message("stubborn"), message("note", 1))
            await until(swallowed.is_set)
            assert ([], []) == (bench.seen, broker.queues["q"].scheduled)
            bench.gate.set()
            await until(lambda: bench.seen == [1])

        assert 1 == len(broker.queues["q"].scheduled)
        assert ("q", "stubborn", "timed_out", "TimeoutError") in bench.observer.ended


class TestDrain:
    @pytest.mark.parametrize("at_most_once", MODES)
    async def test_what_runs_is_finished_and_what_was_not_started_goes_back_in_order(self, at_most_once: bool) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, at_most_once, consumers=2)
        broker.queues["q"].push(*(message("hold", number) for number in range(6)))
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: len(bench.seen) == 2)
        bench.worker.drain()
        bench.gate.set()
        async with asyncio.timeout(5):
            await task

        assert [0, 1] == bench.seen
        assert [2, 3, 4, 5] == [json.loads(raw)["payload"] for raw in broker.queues["q"].ready]
        assert {} == broker.queues["q"].inflight

    async def test_nothing_arrives_after_the_drain_began(self) -> None:
        broker = MemoryBroker()
        bench = Bench(broker)
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: broker.registrations and broker.registrations[0].waiting)
        bench.worker.drain()
        broker.queues["q"].push(message("note", 1))
        async with asyncio.timeout(2):
            await task

        assert ([], 1) == (bench.seen, len(broker.queues["q"].ready))

    @pytest.mark.parametrize("at_most_once", MODES)
    async def test_cancel_hands_back_what_runs_uncounted(self, at_most_once: bool) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, at_most_once, consumers=2)
        raws = [message("hold", 1), message("hold", 2)]
        broker.queues["q"].push(*raws)
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: len(bench.seen) == 2)
        bench.worker.cancel()
        async with asyncio.timeout(5):
            await task

        assert sorted(raws) == sorted(broker.queues["q"].ready)
        assert 2 == bench.worker.handed_back

    async def test_cancelling_the_worker_itself_hands_everything_back(self) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, consumers=2)
        broker.queues["q"].push(message("hold", 1))
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: bench.seen)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert [message("hold", 1)] == list(broker.queues["q"].ready)

    async def test_the_drain_ends_although_redis_is_away(self) -> None:
        broker = MemoryBroker()
        bench = Bench(broker)
        broker.queues["q"].push(message("hold", 1))
        task = asyncio.ensure_future(bench.worker.run())
        await until(lambda: bench.seen)
        broker.away = True
        bench.worker.cancel()
        async with asyncio.timeout(10):
            await task

        assert not bench.worker.complete


class TestRedisTrouble:
    async def test_outcomes_are_written_when_redis_is_back(self) -> None:
        broker = MemoryBroker()
        async with working(Bench(broker)) as bench:
            broker.queues["q"].push(message("hold", 1))
            await until(lambda: bench.seen == [1])
            broker.away = True
            bench.gate.set()
            await until(lambda: any(settled for settled, _, _ in broker.registrations[0].exchanges))
            assert [1] == [len(held) for held in broker.queues["q"].inflight.values()]
            broker.away = False
            await until(lambda: [0] == [len(held) for held in broker.queues["q"].inflight.values()])
            broker.queues["q"].push(message("note", 2))
            await until(lambda: bench.seen == [1, 2])

    async def test_it_starts_without_redis_and_consumes_when_it_comes(self) -> None:
        broker = MemoryBroker()
        broker.away = True
        async with working(Bench(broker)) as bench:
            broker.queues["q"].push(message("note", 1))
            await until(lambda: broker.trips > 2)
            broker.away = False
            await until(lambda: bench.seen == [1])

    async def test_a_reaped_worker_takes_a_new_incarnation_and_late_outcomes_are_counted(self) -> None:
        broker = MemoryBroker()
        async with working(Bench(broker, consumers=1)) as bench:
            broker.queues["q"].push(message("hold", 1))
            await until(lambda: bench.seen == [1])
            await broker.reap("q", broker.registrations[0].wid, forced=True)
            await until(lambda: len(broker.registrations) == 2)
            bench.gate.set()
            await until(lambda: bench.seen == [1, 1])  # run again by the new incarnation

        assert 1 == bench.observer.counts["late_settlements"]
        assert broker.registrations[0].wid != broker.registrations[1].wid


class TestEffort:
    async def test_short_tasks_share_round_trips(self) -> None:
        broker = MemoryBroker()
        broker.queues["q"].push(*(message("note", number) for number in range(20_000)))
        async with working(Bench(broker, consumers=50)) as bench:
            await until(lambda: len(bench.seen) == 20_000, timeout_s=20)
            exchanges = len(broker.registrations[0].exchanges)

        assert exchanges < 20_000 * 0.04  # 50 consumers alone give 0.02; each exchange is about 2 commands

    async def test_an_idle_worker_asks_no_more(self) -> None:
        broker = MemoryBroker()
        async with working(Bench(broker)):
            await until(lambda: broker.registrations and broker.registrations[0].waiting)
            exchanges = len(broker.registrations[0].exchanges)
            renewals = broker.trips
            await until(lambda: broker.trips > renewals + 5)  # renewals go on

            assert exchanges == len(broker.registrations[0].exchanges)

    async def test_the_loop_turns_although_no_handler_suspends(self) -> None:
        broker = MemoryBroker()
        bench = Bench(broker, consumers=10)

        @bench.registry.task("burn")
        async def burn(payload: object) -> None:
            end = time.perf_counter() + 0.0002
            while time.perf_counter() < end:
                pass

        broker.queues["q"].push(*(message("burn", number) for number in range(1000)))
        longest, last = 0.0, time.perf_counter()
        async with working(bench):
            while len(bench.observer.ended) < 1000:
                await asyncio.sleep(0)
                now = time.perf_counter()
                longest, last = max(longest, now - last), now

        assert longest < 0.1  # 5 ms of budget; without it one turn lasts 200 ms
