"""Hooks of an app whose workers share an event loop with others: once for the first worker, once after the last."""

import asyncio
import gc
from contextlib import suppress

import pytest

from asyncq.core.errors import HookError
from asyncq.core.hooks import Hooks
from asyncq.worker.shifts import on_shift
from tests.support.states import until


class App:
    """Hooks that say what was called, and workers that stay until they are cancelled."""

    def __init__(self) -> None:
        self.hooks, self.did = Hooks(), list[str]()
        self.tasks: set[object] = set()
        self.gate, self.stopping = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.hooks.on_worker_start(self._start)
        self.hooks.on_worker_stop(self._stop)

    async def _start(self) -> None:
        self.tasks.add(asyncio.current_task())
        await self.gate.wait()
        self.did.append("start")

    async def _stop(self) -> None:
        self.stopping.set()
        self.tasks.add(asyncio.current_task())
        await self.gate.wait()
        self.did.append("stop")

    def worker(self, name: str) -> "asyncio.Task[None]":
        return asyncio.create_task(self._work(name))

    async def _work(self, name: str) -> None:
        async with on_shift(self.hooks):
            self.did.append(name)
            await asyncio.Event().wait()


async def ended(*tasks: "asyncio.Task[None]") -> list[object]:
    for task in tasks:
        task.cancel()
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def test_the_first_worker_starts_and_the_last_one_stops() -> None:
    app = App()
    first = app.worker("first")
    await until(lambda: "first" in app.did)
    second = app.worker("second")
    await until(lambda: "second" in app.did)
    await ended(first)
    await asyncio.sleep(0)
    assert ["start", "first", "second"] == app.did
    await ended(second)

    assert ["start", "first", "second", "stop"] == app.did
    assert 1 == len(app.tasks)


async def test_the_hooks_of_two_apps_are_their_own() -> None:
    apps = [App(), App()]
    workers = [app.worker("worker") for app in apps]
    await until(lambda: all("worker" in app.did for app in apps))
    await ended(workers[0])

    assert [["start", "worker", "stop"], ["start", "worker"]] == [app.did for app in apps]
    await ended(workers[1])


async def test_who_comes_while_the_stop_hooks_run_waits_for_their_end() -> None:
    app = App()
    first = app.worker("first")
    await until(lambda: "first" in app.did)
    app.gate.clear()
    first.cancel()
    await app.stopping.wait()
    late = [app.worker("late"), app.worker("late")]
    for _ in range(3):
        await asyncio.sleep(0)
    app.gate.set()
    await until(lambda: app.did.count("late") == 2)
    await ended(first, *late)

    assert ["start", "first", "stop", "start", "late", "late", "stop"] == app.did


async def test_each_worker_raises_what_a_start_hook_raised_and_the_next_one_tries_again() -> None:
    app, errors = App(), [ValueError("no database")]
    app.gate.clear()

    @app.hooks.on_worker_start
    def connect() -> None:
        if errors:
            raise errors.pop()

    workers = [app.worker("first"), app.worker("second")]
    await until(lambda: app.tasks)
    app.gate.set()
    assert [HookError, HookError] == [type(error) for error in await asyncio.gather(*workers, return_exceptions=True)]
    third = app.worker("third")
    await until(lambda: "third" in app.did)
    await ended(third)

    assert ["start", "start", "third", "stop"] == app.did


async def test_start_hooks_are_cancelled_with_the_last_worker_that_waits_for_them() -> None:
    app = App()
    app.gate.clear()
    workers = [app.worker("first"), app.worker("second")]
    await until(lambda: app.tasks)
    await ended(workers[0])
    assert not any(task.done() for task in app.tasks)  # type: ignore[attr-defined]
    await ended(workers[1])

    assert all(task.cancelled() for task in app.tasks)  # type: ignore[attr-defined]
    assert [] == app.did


def test_stop_hooks_come_after_the_workers_when_a_loop_ends_and_cancels_all() -> None:
    did: list[str] = []

    async def work(app: App) -> None:
        async with on_shift(app.hooks):
            try:
                await asyncio.Event().wait()
            finally:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)
                app.did.append("worked")

    async def program() -> None:
        app = App()
        app.did = did
        worker = asyncio.create_task(work(app))
        await until(lambda: did == ["start"])
        assert not worker.done()

    asyncio.run(program())
    assert ["start", "worked", "stop"] == did


def test_a_loop_that_ended_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    from asyncq.worker import shifts

    gc.collect()
    before = len(shifts._by_loop)

    async def program() -> None:
        await ended(App().worker("worker"))

    asyncio.run(program())
    gc.collect()
    assert before == len(shifts._by_loop)
    assert [] == caplog.messages
