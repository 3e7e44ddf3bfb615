"""`asyncq dead`: the messages that were given up, with the reason and the traceback of each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli import output
from asyncq.cli.asking import ask
from asyncq.cli.options import REDIS, json_option, loaded_from, settings_options
from asyncq.cli.queues import queues_of
from asyncq.core.logs import printable

if TYPE_CHECKING:  # brings redis-py
    from asyncq.broker.inspector import DeadRecord, RedisInspector

MAX_LETTERS: Final = 100_000  # no queue keeps more


@click.command("dead", short_help="Show the dead letters.")
@settings_options("app", "queues", *REDIS)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LETTERS),
    default=20,
    show_default=True,
    metavar="N",
    help="Newest N per queue.",
)
@json_option
def dead_command(limit: int, as_json: bool, **flags: Any) -> None:
    """Show messages that were given up, the newest first. The queues are --queue, else those of the app."""
    from asyncq.broker.choice import reachable_redis

    loaded = loaded_from(flags)
    queues = queues_of(loaded)
    for queue, records in _look(reachable_redis(loaded).url, queues, limit).items():
        for record in records:
            if as_json:
                output.data_json({"queue": queue, "dead_id": record.id, **record.header, "message": _text(record)})
            else:
                output.data(_paragraph(queue, record))


def _look(url: str, queues: tuple[str, ...], limit: int) -> dict[str, list[DeadRecord]]:
    async def letters(inspector: RedisInspector) -> dict[str, list[DeadRecord]]:
        return {queue: await inspector.dead_letters(queue, limit) for queue in queues}

    return ask(url, letters)


def _text(record: DeadRecord) -> str:
    """The message's bytes; what is no UTF-8 stands as \\xHH."""
    return record.raw.decode("utf-8", "backslashreplace")


def _paragraph(queue: str, record: DeadRecord) -> str:
    """For a terminal: what it would obey instead of show is spelled out."""
    header = record.header
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(header["at_ms"] / 1000))
    known = [f"{key}={header[key]}" for key in ("name", "id", "attempt") if key in header]
    lines = [
        " ".join([when, queue, header["reason"], *known]),
        f"  {header.get('error', '')}".rstrip(),
        f"  {_text(record)}",
    ]
    lines += [f"  | {line}" for line in str(header.get("traceback", "")).splitlines()]
    return "\n".join(printable(line) for line in lines if line.strip())
