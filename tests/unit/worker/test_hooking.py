"""A worker's life with hooks: what is called when, and what their failures and signals do."""

import asyncio
import contextvars
import logging
import os
import signal
import time

import pytest

from asyncq.core.errors import HookError
from asyncq.core.hooks import Crash
from asyncq.worker import hooking
from tests.unit.worker.bench import message
from tests.unit.worker.life import Process

CRASH = Crash(index=1, pid=77, cause="killed by SIGKILL", reason="killed")
ENDINGS = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["error"] for record in caplog.records if record.getMessage() == "hook failed"]


def test_start_hooks_come_before_ready_and_stop_hooks_after_the_drain_in_the_reverse_order() -> None:
    process = Process(message("did", "message"))
    did, hooks = process.did, process.hooks
    hooks.on_worker_start(lambda: did.append("start 1"))
    hooks.on_worker_stop(lambda: did.append("stop 1"))

    @hooks.on_worker_start
    async def start() -> None:
        await asyncio.sleep(0)
        did.append("start 2")

    @hooks.on_worker_stop
    async def stop() -> None:
        await asyncio.sleep(0)
        did.append("stop 2")

    assert 0 == process.run(ends_when=lambda: "message" in did)
    assert ["start 1", "start 2", "ready", "message", "stop 2", "stop 1", "closed"] == did


def test_start_and_stop_hooks_share_their_asyncio_task_and_its_context() -> None:
    process, tasks = Process(), list[object]()
    number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)

    @process.hooks.on_worker_start
    async def start() -> None:
        number.set(7)
        tasks.append(asyncio.current_task())

    @process.hooks.on_worker_stop
    def stop() -> None:
        tasks.append(asyncio.current_task())
        process.did.append(str(number.get()))

    process.run()
    assert tasks[0] is tasks[1]
    assert ["ready", "7", "closed"] == process.did


class TestStart:
    @pytest.mark.parametrize("error", [ValueError("no database"), SystemExit(1), asyncio.CancelledError()])
    def test_the_worker_does_not_start_when_one_fails(self, error: BaseException) -> None:
        process = Process(message("did", "message"))

        @process.hooks.on_worker_start
        async def connect() -> None:
            await asyncio.sleep(0)
            raise error

        process.hooks.on_worker_start(lambda: process.did.append("start 2"))
        process.hooks.on_worker_stop(lambda: process.did.append("stop"))
        with pytest.raises(
            HookError, match=rf"the on_worker_start hook .*connect failed: .*{error} ?\({__file__}:\d+\)"
        ):
            process.run()

        assert ["closed"] == process.did
        assert 1 == len(process.broker.queues["q"].ready)

    @pytest.mark.parametrize("number", ENDINGS)
    def test_a_signal_cancels_one_that_takes_long_and_nothing_is_taken(self, number: signal.Signals) -> None:
        process = Process(message("did", "message"))

        @process.hooks.on_worker_start
        async def connect() -> None:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()

        process.hooks.on_worker_stop(lambda: process.did.append("stop"))

        assert 0 == process.run()
        assert ["closed"] == process.did
        assert 1 == len(process.broker.queues["q"].ready)

    @pytest.mark.parametrize("number", ENDINGS)
    def test_a_signal_interrupts_a_def_that_keeps_the_loop(self, number: signal.Signals) -> None:
        process = Process(message("did", "message"))

        @process.hooks.on_worker_start
        def connect() -> None:
            os.kill(os.getpid(), number)
            time.sleep(30)  # sleeps: a connection that takes long, and keeps the event loop from hearing of the signal

        started = time.monotonic()
        assert 0 == process.run()
        assert ["closed"] == process.did
        assert time.monotonic() - started < 10

    @pytest.mark.parametrize("says", ["swallows it", "fails at it"])
    def test_whatever_one_makes_of_its_cancellation_the_process_ends(self, says: str) -> None:
        process = Process(message("did", "message"))

        @process.hooks.on_worker_start
        async def connect() -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if says == "fails at it":
                    raise ValueError(says) from None

        process.hooks.on_worker_start(lambda: process.did.append("start 2"))

        assert 0 == process.run()
        assert ["closed"] == process.did

    def test_the_signals_of_the_loop_are_its_own_again_afterwards(self) -> None:
        process = Process(message("hold", 1))
        process.hooks.on_worker_start(lambda: None)

        assert 75 == process.run(ends_when=lambda: self._twice(process))

    def _twice(self, process: Process) -> bool:
        assert process.bench is not None
        if process.bench.seen == [1]:
            os.kill(os.getpid(), signal.SIGINT)
        return process.bench.seen == [1]


class TestStop:
    def test_what_one_raises_is_logged_and_the_others_are_called(self, caplog: pytest.LogCaptureFixture) -> None:
        process = Process()
        process.hooks.on_worker_stop(lambda: process.did.append("stop 1"))

        @process.hooks.on_worker_stop
        async def disconnect() -> None:
            raise ValueError("gone")

        @process.hooks.on_worker_stop
        def leave() -> None:
            raise asyncio.CancelledError

        assert 0 == process.run()
        assert ["ready", "stop 1", "closed"] == process.did
        assert ["asyncio.exceptions.CancelledError", "ValueError: gone"] == [
            said.split("failed: ")[1].split(" (")[0] for said in failures(caplog)
        ]

    def test_one_that_does_not_end_is_cancelled(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hooking, "STOP_S", 0.05)
        process = Process()
        process.hooks.on_worker_stop(lambda: process.did.append("stop 1"))

        @process.hooks.on_worker_stop
        async def disconnect() -> None:
            await asyncio.Event().wait()

        assert 0 == process.run()
        assert ["ready", "stop 1", "closed"] == process.did
        (said,) = failures(caplog)
        assert said.endswith("disconnect failed: TimeoutError: did not end within 0.05 s")


class TestCrash:
    def test_the_process_in_the_dead_ones_place_is_told_once_it_is_ready(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        process, told = Process(), list[Crash]()

        @process.hooks.on_crash
        async def fail(crash: Crash) -> None:
            process.did.append("crash")
            raise ValueError("no ticket")

        process.hooks.on_crash(told.append)

        assert 0 == process.run(CRASH, ends_when=lambda: bool(told))
        assert ["ready", "crash", "closed"] == process.did
        assert [CRASH] == told
        assert 1 == len(failures(caplog))

    def test_nothing_waits_for_one_that_takes_long(self) -> None:
        process = Process(message("did", "message"))

        @process.hooks.on_crash
        async def ticket(crash: Crash) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                process.did.append("cut off")

        process.hooks.on_worker_stop(lambda: process.did.append("stop"))

        assert 0 == process.run(CRASH, ends_when=lambda: "message" in process.did)
        assert ["ready", "message", "cut off", "stop", "closed"] == process.did

    def test_nobody_is_told_when_nobody_died(self) -> None:
        process = Process()
        process.hooks.on_crash(lambda crash: process.did.append("crash"))

        assert 0 == process.run()
        assert ["ready", "closed"] == process.did


@pytest.fixture(autouse=True)
def levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
