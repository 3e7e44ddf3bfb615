"""`asyncq worker`: one worker in this process, which then does its own maintenance. For development and debuggers."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

from asyncq.broker.embedded import start
from asyncq.broker.redis_broker import RedisBroker
from asyncq.cli import output, rooms
from asyncq.cli.redis_choice import RedisChoice
from asyncq.core.contact import Contact
from asyncq.core.nulls import NullObserver
from asyncq.core.settings import Loaded
from asyncq.maintenance.keeper import Maintenance
from asyncq.worker import main as worker_main


def run_here(loaded: Loaded, app: str, choice: RedisChoice) -> int:
    """Run until a signal ends it. An embedded Redis lives as long."""
    settings = loaded.settings
    queues = rooms.load_tasks(app, loaded.folder, settings, choice.url)
    with contextlib.ExitStack() as stack:
        if choice.plan is not None:
            stack.enter_context(start(choice.plan))
        output.talk(f"asyncq worker runs {app}: {settings.per_proc} tasks at a time from {', '.join(queues)}")
        output.talk(f"  redis      {choice.sentence}")
        return worker_main.run(
            lambda: rooms.worker_life(settings, choice.url, queues, beside=lambda broker: _maintain(broker, queues)),
            deadlines=worker_main.Deadlines(drain_s=settings.drain_timeout_s, cancel_s=settings.cancel_timeout_s),
        )


def _maintain(broker: RedisBroker, queues: tuple[str, ...]) -> asyncio.Future[None]:
    return asyncio.ensure_future(Maintenance(broker, NullObserver(), Contact(Random())).run(queues))
