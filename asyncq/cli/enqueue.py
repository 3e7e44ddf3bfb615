"""`asyncq enqueue`: put messages on a queue from a shell.

Prints the id of each message; with `--bulk` only how many. Pushes a thousand at a time over one connection, and says
after a failure or Ctrl-C how many were enqueued before it, so that nobody has to guess.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import click

from asyncq.cli import output
from asyncq.cli.options import REDIS, Seconds, json_option, loaded_from, moment, settings_options
from asyncq.cli.payloads import one_payload, payload_lines
from asyncq.cli.queues import queue_of
from asyncq.core.clock import mono_s
from asyncq.core.errors import AsyncqError, ConfigurationError, MessageTooLargeError
from asyncq.core.settings import Loaded

_MOST: Final = 1_000_000_000
_PROGRESS_EVERY_S: Final = 0.5

IdAndBytes = tuple[str, bytes]


@click.command("enqueue", short_help="Put messages on a queue.")
@click.argument("task")
@click.argument("payload", required=False, metavar="[JSON|-|@FILE]")
@click.option("--count", type=click.IntRange(1, _MOST), default=1, metavar="N", help="Enqueue the message N times.")
@click.option("--bulk", metavar="FILE", help="One message per line of FILE: payloads as JSON; - for standard input.")
@click.option("--delay", "delay_s", type=Seconds(0), metavar="SECONDS", help="Ready after so many seconds.")
@click.option("--eta", callback=moment, metavar="ISO-8601", help="Ready at this time, say 2026-12-01T08:00:00+01:00.")
@settings_options("app", "queues", "max_message_bytes", *REDIS)
@json_option
def enqueue_command(
    task: str,
    payload: str | None,
    count: int,
    bulk: str | None,
    delay_s: float | None,
    eta: datetime | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Enqueue a message for TASK and print its id. Without a payload it is {}.

    The queue is --queue, else the one the app has registered the task for, else task_queue.
    """
    loaded = loaded_from(flags)
    when = _when(delay_s, eta)
    if bulk is None:
        value = one_payload("{}" if payload is None else payload)
        payloads: Iterable[Any] = itertools.repeat(value, count)
    elif payload is None and count == 1:
        payloads = payload_lines(bulk)
    else:
        raise ConfigurationError("--bulk: expected neither a payload nor --count beside it, found one; leave it out")
    queue = queue_of(task, loaded)
    messages = _messages(task, payloads, loaded.settings.max_message_bytes)
    _enqueue(messages, queue, when, loaded, Report(queue, as_json, bulk is not None))


def _when(delay_s: float | None, eta: datetime | None) -> str:
    """When the messages are to be ready, for the producer; "" = at once."""
    from asyncq.broker.pushes import when
    from asyncq.core.envelope import check_wait

    if delay_s is not None and eta is not None:
        raise ConfigurationError("--eta: expected either --eta or --delay, found both; leave one out")
    check_wait(delay_s or 0.0, eta)
    return when(delay_s or 0.0, eta) if delay_s or eta else ""


def _messages(task: str, payloads: Iterable[Any], limit_bytes: int) -> Iterator[IdAndBytes]:
    from asyncq.core import codec
    from asyncq.core.envelope import create_task  # bring uuid and orjson: only when it runs

    for number, payload in enumerate(payloads, 1):
        message = create_task(task, payload)
        try:
            yield message["id"], codec.encode(message, limit_bytes)
        except (ConfigurationError, MessageTooLargeError) as error:
            raise ConfigurationError(f"payload {number}: {error}") from None


def _enqueue(messages: Iterator[IdAndBytes], queue: str, when: str, loaded: Loaded, report: Report) -> None:
    from asyncq.broker.choice import reachable_redis
    from asyncq.broker.connection import ConnectionSettings  # bring redis-py: only when it runs
    from asyncq.broker.pushes import PUSH_CHUNK, Push
    from asyncq.broker.redis_sync import SyncProducer

    try:
        with contextlib.closing(SyncProducer(ConnectionSettings(reachable_redis(loaded).url))) as producer:
            while batch := list(itertools.islice(messages, PUSH_CHUNK)):
                report.pushing = len(batch)
                producer.send([Push(queue, [raw for _, raw in batch], [when] * len(batch) if when else ())])
                report.pushed(batch)
    except AsyncqError:
        report.failed()
        raise
    except KeyboardInterrupt:
        report.interrupted()
        raise
    report.finished()


class Report:
    """What is printed while messages go out.

    Args:
        queue: Where they go.
        as_json: One JSON object per line of data.
        bulk: Only the number is data; progress is talk, on a terminal.

    Attributes:
        enqueued: How many surely are on the queue.
        pushing: How many are on their way.
    """

    def __init__(self, queue: str, as_json: bool, bulk: bool) -> None:
        self._queue, self._as_json, self._bulk = queue, as_json, bulk
        self._started_mono = self._spoke_mono = mono_s()
        self.enqueued = self.pushing = 0

    def pushed(self, batch: Sequence[IdAndBytes]) -> None:
        """These are on the queue."""
        self.enqueued += len(batch)
        self.pushing = 0
        if self._bulk:
            self._progress()
            return
        for message_id, _ in batch:
            if self._as_json:
                output.data_json({"id": message_id, "queue": self._queue})
            else:
                output.data(message_id)

    def finished(self) -> None:
        """All are."""
        if self._bulk and self._as_json:
            output.data_json({"enqueued": self.enqueued, "queue": self._queue})
        elif self._bulk:
            output.data(str(self.enqueued))

    def failed(self) -> None:
        """The rest will not be."""
        if self._bulk or self.enqueued:
            output.talk(f"asyncq: {self.enqueued} messages were enqueued on {self._queue} before this failed:")

    def interrupted(self) -> None:
        """Somebody pressed Ctrl-C; what was on its way at that moment may have arrived."""
        unknown = f"; the fate of the next {self.pushing} is unknown" if self.pushing else ""
        output.talk(f"asyncq: interrupted: {self.enqueued} messages were enqueued on {self._queue}{unknown}")

    def _progress(self) -> None:
        now_mono = mono_s()
        if sys.stderr.isatty() and now_mono - self._spoke_mono >= _PROGRESS_EVERY_S:
            self._spoke_mono = now_mono
            rate = self.enqueued / (now_mono - self._started_mono)
            output.talk(f"{self.enqueued} messages enqueued, {rate:.0f}/s")
