"""The rooms of one worker process put together: broker, worker and, without a supervisor, maintenance.

Called in the children of a supervisor and by `asyncq worker`. Brings redis-py and the event loop's libraries, so the
supervisor's parent never imports it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from asyncq import simple
from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.redis_broker import RedisBroker
from asyncq.cli.app import import_app
from asyncq.core.doors import Observer, Slot
from asyncq.core.settings import Settings
from asyncq.core.settlement import SettlementRules
from asyncq.core.task import default_registry
from asyncq.worker.main import Life
from asyncq.worker.worker import Worker, WorkerSettings

RENEWALS_PER_LEASE = 5


def load_tasks(app: str, folder: Path, settings: Settings, redis_url: str) -> tuple[str, ...]:
    """Import the app and say which queues are consumed: those asked for, else those of its tasks.

    What the app enqueues by itself goes to the same Redis.

    Raises:
        AppImportError: the app cannot be imported.
    """
    simple.use_redis(redis_url)
    import_app(app, folder)
    return settings.queues or tuple(default_registry.queues())


def make_broker(settings: Settings, redis_url: str, role: str) -> RedisBroker:
    """A broker for one process and event loop. No Redis call."""
    return RedisBroker(
        ConnectionSettings(redis_url),
        lease_ms=int(settings.lease_s * 1000),
        max_message_bytes=settings.max_message_bytes,
        role=role,
    )


def renew_s(settings: Settings) -> float:
    """Seconds between two renewals of a lease: 3 s for the default lease of 15 s."""
    return settings.lease_s / RENEWALS_PER_LEASE


def make_worker(
    broker: RedisBroker,
    settings: Settings,
    queues: Sequence[str],
    slot: Slot | None = None,
    observer: Observer | None = None,
) -> Worker:
    """A worker of the registered tasks."""
    told = WorkerSettings(
        queues=queues,
        consumers=settings.per_proc,
        at_most_once=settings.delivery == "at-most-once",
        renew_s=renew_s(settings),
        rules=SettlementRules(unknown_task_park_s=settings.unknown_task_park_s),
    )
    return Worker(broker, default_registry, told, slot=slot, observer=observer, rng=Random())


def worker_life(
    settings: Settings,
    redis_url: str,
    queues: Sequence[str],
    *,
    slot: Slot | None = None,
    observer: Observer | None = None,
    beside: Callable[[RedisBroker], asyncio.Future[None]] | None = None,
) -> Life:
    """Everything that lives in one worker process's event loop, made inside it."""
    broker = make_broker(settings, redis_url, "worker")
    worker = make_worker(broker, settings, queues, slot, observer)
    service = beside(broker) if beside is not None else None
    return Life(worker=worker, service=service, close=broker.close)
