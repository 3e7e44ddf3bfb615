"""The whole vocabulary of the article asyncq grew from, so that its program runs with only its imports changed.

    TASK_REGISTRY, task                     name -> handler, and the decorator that fills it
    create_task, enqueue_task               make a message, push it (enqueue_many: several at once)
    worker, start_workers                   consume a queue in this process, without a supervisor
    execute_with_retry                      run a handler here and now, again when it fails

Redis is the one named by `use_redis`; inside a worker it is the worker's own, and so are the settings. Else both are
found as by the command line: ASYNCQ_REDIS_URL, REDIS_URL, settings files, localhost:6379, or the embedded server of
the current folder.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from asyncq.client.client import default_client
from asyncq.client.home import home
from asyncq.core.envelope import Envelope, create_task
from asyncq.core.registry import Registry, default_registry, task

if TYPE_CHECKING:  # a mere producer does without
    from asyncq.core.settings import Settings
    from asyncq.worker.worker import Worker

__all__ = [
    "TASK_REGISTRY",
    "create_task",
    "enqueue_many",
    "enqueue_task",
    "execute_with_retry",
    "start_workers",
    "task",
    "use_redis",
    "worker",
]

log = logging.getLogger("asyncq.simple")

TASK_REGISTRY: Final = default_registry


async def enqueue_many(queue_name: str, tasks: Iterable[Mapping[str, Any]]) -> None:
    """Put messages made by `create_task` at the tail of a queue, in order.

    Up to a thousand go in one RPUSH: all of them are enqueued or none.

    Cost: 1 RPUSH per thousand. Raises as `asyncq.client.client.Client.enqueue_many`.
    """
    await default_client.enqueue_many(Envelope(queue_name, message) for message in tasks)


def use_redis(url: str) -> None:
    """Which Redis this process enqueues to and consumes from. Call it before anything else of this module."""
    home.move(url)


async def enqueue_task(queue_name: str, task: Mapping[str, Any]) -> None:
    """Put a message made by `create_task` at the tail of a queue.

    Works from many event loops in turn: each has a client of its own, closed with the loop.

    Cost: 1 RPUSH. Raises as `asyncq.client.client.Client.enqueue`.
    """
    await default_client.enqueue(Envelope(queue_name, task))


async def start_workers(queue_name: str, concurrency: int = 10, *, registry: Registry = TASK_REGISTRY) -> None:
    """Consume a queue in this process until cancelled, `concurrency` messages at a time.

    Settings count as for `asyncq worker`. Promotes retries and reaps dead processes itself, so that no supervisor is
    needed. Cancelling it hands back what runs.

    The registry's hooks are called for all crews of an event loop together: those for load and start before the first
    message, those for stop when the last crew has gone.

    Raises:
        HookError: a hook for load or start failed.
    """
    await _Crew(queue_name, concurrency, registry).run()


async def worker(queue_name: str) -> None:
    """One consumer of a queue, until cancelled.

    Several of them in one event loop share one identity in Redis and their consumers: there are as many as the most
    members at one time. A member that leaves takes none along; the last one ends them all and hands back what runs.
    """
    await _crews.join(queue_name)


async def execute_with_retry(handler: Callable[[Any], Awaitable[Any]], payload: Any, retries: int = 3) -> Any:
    """Await `handler(payload)` up to `retries` times, sleeping 1, 2, 4, ... seconds in between.

    Returns what the handler returns. Raises what the last attempt raised. No Redis call.
    """
    for attempt in range(retries):
        try:
            return await handler(payload)
        except Exception as error:
            if attempt == retries - 1:
                raise
            log.info("retrying here", extra={"error": repr(error), "attempt": attempt + 1})
            await asyncio.sleep(2**attempt)
    return None


class _Crews:
    """The `worker(queue)` coroutines of each event loop: those of one queue are the consumers of one Worker."""

    def __init__(self) -> None:
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Crew]] = WeakKeyDictionary()

    async def join(self, queue: str) -> None:
        crews = self._by_loop.setdefault(asyncio.get_running_loop(), {})
        crew = crews.get(queue)
        if crew is None or crew.ended:
            crew = crews[queue] = _Crew(queue)
        crew.members += 1
        try:
            await crew.work()
        finally:
            crew.members -= 1
            if crew.members == 0:
                if crews.get(queue) is crew:  # before any await: whoever comes now begins a crew of their own
                    del crews[queue]
                await crew.end()


class _Crew:
    """One Worker in this process with its maintenance.

    Args:
        queue: What it consumes.
        members: Consumers to begin with.
        registry: The tasks that it knows.
    """

    def __init__(self, queue: str, members: int = 0, registry: Registry = TASK_REGISTRY) -> None:
        self._queue, self._registry = queue, registry
        self.members = members
        self._consumers = 0
        self._worker: Worker | None = None
        self._running: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """It worked and does so no more; nobody can join it."""
        return self._running is not None and self._running.done()

    async def work(self) -> None:
        """Be one of the members until cancelled."""
        if self._running is None:
            self._running = asyncio.ensure_future(self.run())
        elif self._worker is not None and self.members > self._consumers:
            self._consumers += 1
            self._worker.grow(1)
        await asyncio.shield(self._running)

    async def end(self) -> None:
        """Take the Worker along."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def run(self) -> None:
        """Work until cancelled, then hand back what runs."""
        from asyncq.worker.shifts import on_shift  # brings the worker and all it needs: not for a mere producer

        url, settings = await home.find()
        self._registry.check()
        self._registry.hooks.load()
        async with on_shift(self._registry.hooks):
            await self._work(url, settings)

    async def _work(self, url: str, settings: Settings) -> None:
        from asyncq.cli import rooms  # as above

        self._consumers = self.members
        settings = dataclasses.replace(settings, per_proc=self._consumers)
        life = rooms.worker_life(settings, url, rooms.Work(self._registry, (self._queue,)), alone=True)
        self._worker = life.worker
        try:
            await life.worker.run()
        finally:
            if life.service is not None:
                life.service.cancel()
                await asyncio.gather(life.service, return_exceptions=True)
            await life.close()


_crews: Final = _Crews()
