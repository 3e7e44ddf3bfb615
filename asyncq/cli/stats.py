"""`asyncq stats`: how many messages wait, run and lie dead, per queue."""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from asyncq.cli import output
from asyncq.cli.asking import ask
from asyncq.cli.options import REDIS, Seconds, json_option, loaded_from, settings_options
from asyncq.cli.queues import queues_of

if TYPE_CHECKING:  # bring redis-py and orjson
    from asyncq.broker.inspector import RedisInspector
    from asyncq.core.doors import QueueStats

_HEADS = ("queue", "ready", "scheduled", "due", "in flight", "suspects", "dead", "workers", "oldest")


@click.command("stats", short_help="Show the sizes of the queues.")
@settings_options("app", "queues", *REDIS)
@click.option("--watch", type=Seconds(0.1, 86_400), metavar="SECONDS", help="Show them again every so many seconds.")
@json_option
def stats_command(watch: float | None, as_json: bool, **flags: Any) -> None:
    """Show how many messages wait, run and lie dead. The queues are --queue, else those of the app, else task_queue."""
    from asyncq.broker.choice import reachable_redis

    loaded = loaded_from(flags)
    queues = queues_of(loaded)
    url = reachable_redis(loaded).url
    while True:
        _show(_look(url, queues), as_json, clear=watch is not None)
        if watch is None:
            return
        time.sleep(watch)


def _look(url: str, queues: tuple[str, ...]) -> list[QueueStats]:
    async def sizes(inspector: RedisInspector) -> list[QueueStats]:
        return [await inspector.stats(queue) for queue in queues]

    return ask(url, sizes)


def _show(found: list[QueueStats], as_json: bool, *, clear: bool) -> None:
    if as_json:
        for stats in found:
            output.data_json(dataclasses.asdict(stats))
        return
    if clear and sys.stdout.isatty():
        click.clear()
    output.data(output.table(_HEADS, [_row(stats) for stats in found]))


def _row(stats: QueueStats) -> tuple[object, ...]:
    oldest = "-" if stats.oldest_age_s is None else f"{stats.oldest_age_s:.1f} s"
    return (
        stats.queue, stats.ready, stats.scheduled, stats.due, stats.in_flight, stats.suspects, stats.dead,
        stats.workers, oldest,
    )  # fmt: skip
