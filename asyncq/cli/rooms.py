"""The rooms of one worker process put together: broker, worker and, without a supervisor, maintenance.

Called in the children of a supervisor, by `asyncq worker` and by `asyncq.simple`. Brings redis-py and the event loop's
libraries, so the supervisor's parent never imports it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from asyncq.broker.redis_broker import RedisBroker
from asyncq.cli.app import load_app
from asyncq.cli.brokers import make_broker, renew_s
from asyncq.client.home import home
from asyncq.core.doors import Observer, Slot
from asyncq.core.registry import Registry
from asyncq.core.settings import Settings
from asyncq.core.settlement import SettlementRules
from asyncq.worker.main import Life
from asyncq.worker.worker import Worker, WorkerSettings


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker process does.

    Attributes:
        registry: The tasks that it knows.
        queues: What is consumed.
    """

    registry: Registry
    queues: tuple[str, ...]


def load_work(app: str, folder: Path, settings: Settings, redis_url: str) -> Work:
    """Import the app and call its `on_zygote_load` hooks; its queues are those asked for, else those of its tasks.

    What the app enqueues by itself goes to the same Redis under the same settings.

    Raises:
        AppImportError: the app cannot be imported.
        HookError: a hook failed.
    """
    home.move(redis_url, settings)
    registry = load_app(app, folder)
    registry.hooks.load()
    return Work(registry, settings.queues or tuple(registry.queues()))


def make_worker(
    broker: RedisBroker,
    settings: Settings,
    work: Work,
    slot: Slot | None = None,
    observer: Observer | None = None,
) -> Worker:
    """A worker of the registered tasks."""
    told = WorkerSettings(
        queues=work.queues,
        consumers=settings.per_proc,
        at_most_once=settings.delivery == "at-most-once",
        max_message_bytes=settings.max_message_bytes,
        renew_s=renew_s(settings),
        lease_s=settings.lease_s,
        cancel_lost=settings.on_lease_lost == "cancel",
        rules=SettlementRules(
            unknown_task_park_s=settings.unknown_task_park_s, max_message_bytes=settings.max_message_bytes
        ),
    )
    return Worker(broker, work.registry, told, slot=slot, observer=observer, rng=Random())


def worker_life(
    settings: Settings,
    redis_url: str,
    work: Work,
    *,
    slot: Slot | None = None,
    observer: Observer | None = None,
    alone: bool = False,
) -> Life:
    """Everything that lives in one worker process's event loop, made inside it.

    Args:
        settings: Of the command.
        redis_url: Where Redis answers.
        work: The tasks and the queues.
        slot: This process's page in the supervisor's shared memory.
        observer: Is told what happens to tasks.
        alone: Nobody supervises, so that it promotes and reaps by itself.
    """
    broker = make_broker(settings, redis_url, "worker")
    worker = make_worker(broker, settings, work, slot, observer)
    return Life(worker=worker, service=_maintain(broker, work.queues) if alone else None, close=broker.close)


def _maintain(broker: RedisBroker, queues: Sequence[str]) -> asyncio.Future[None]:
    # A supervised worker leaves this to the keeper, and does without the room.
    from asyncq.core.contact import Contact
    from asyncq.core.nulls import NullObserver
    from asyncq.maintenance.keeper import Maintenance

    return asyncio.ensure_future(Maintenance(broker, NullObserver(), Contact(Random())).run(queues))
