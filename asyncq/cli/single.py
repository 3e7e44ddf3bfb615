"""`asyncq worker`: one worker in this process, which then does its own maintenance. For development and debuggers."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Sequence

from asyncq.broker.choice import RedisChoice
from asyncq.broker.embedded import start
from asyncq.cli import output, rooms
from asyncq.cli.durability import say_durability
from asyncq.core import logs
from asyncq.core.settings import Loaded, Settings
from asyncq.worker import main as worker_main

log = logging.getLogger("asyncq.worker")


def run_here(loaded: Loaded, app: str, choice: RedisChoice) -> int:
    """Run until a signal ends it. An embedded Redis lives as long."""
    settings = loaded.settings
    work = rooms.load_work(app, loaded.folder, settings, choice.url)
    with contextlib.ExitStack() as stack:
        if choice.plan is not None:
            stack.enter_context(start(choice.plan))
        _say(app, settings, work.queues, choice)
        return worker_main.run(
            lambda: _life(settings, choice, work),
            deadlines=worker_main.Deadlines(drain_s=settings.drain_timeout_s, cancel_s=settings.cancel_timeout_s),
            hooks=work.registry.hooks,
        )


def _life(settings: Settings, choice: RedisChoice, work: rooms.Work) -> worker_main.Life:
    life = rooms.worker_life(settings, choice.url, work, alone=True)
    assert life.service is not None
    said = say_durability(settings, choice.url, embedded=choice.kind in ("planned", "embedded"))
    return dataclasses.replace(life, service=asyncio.gather(life.service, said))


def _say(app: str, settings: Settings, queues: Sequence[str], choice: RedisChoice) -> None:
    """What runs where: sentences on a terminal, one event otherwise."""
    if logs.as_text(settings.log_format):
        output.talk(f"asyncq worker runs {app}: {settings.per_proc} tasks at a time from {', '.join(queues)}")
        output.talk(f"  redis      {choice.sentence}")
        return
    fields = {"app": app, "per_proc": settings.per_proc, "queues": list(queues), "redis": choice.sentence}
    log.info("working", extra=fields | {"delivery": settings.delivery})
