"""`python -m examples.signup [push | sink | api | flask]`: the example from the command line.

Without a command: start the sinks, push the file's events, show the deliveries until all have arrived.
The only module of the example that prints, exits and sets the environment; it never runs a task itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import uvicorn
import uvloop
from rich.console import Console
from rich.progress import Progress

from asyncq.core.errors import AsyncqError
from examples.signup.event import Event
from examples.signup.ledger import Ledger
from examples.signup.make_events import EVENTS_FILE
from examples.signup.push import push_events, read_events
from examples.signup.settings import read_downstreams
from examples.signup.sink import listening, running_sinks
from examples.signup.watch import shortfall, summary, watch

DEFAULT_TIMEOUT_S: Final = 300.0
DEFAULT_API_PORT: Final = 8000
DEFAULT_FLASK_PORT: Final = 8001

T = TypeVar("T")
Command = Callable[..., Any]


class _Group(click.Group):
    """Turns an error of asyncq into one sentence and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AsyncqError as error:
            click.echo(str(error), err=True)
            sys.exit(error.exit_code)


def _redis_option(command: Command) -> Command:
    return click.option(
        "--redis",
        metavar="URL",
        expose_value=False,
        callback=_use_redis,
        help="Default: as asyncq finds it (ASYNCQ_REDIS_URL, REDIS_URL, localhost, the embedded server).",
    )(command)


def _use_redis(_ctx: click.Context, _param: click.Parameter, url: str | None) -> None:
    if url:
        os.environ["ASYNCQ_REDIS_URL"] = url  # read by asyncq's default client on its first use


def _push_options(command: Command) -> Command:
    for option in (
        click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events per second."),
        click.option("--count", type=click.IntRange(min=1), help="Only the first so many events."),
        click.option("--file", type=click.Path(path_type=Path), default=EVENTS_FILE, help="JSON lines."),
    ):
        command = option(command)
    return command


def _sink_options(command: Command) -> Command:
    for option in (
        click.option("--record", type=click.Path(path_type=Path), help="Append a JSON line per delivery."),
        click.option("--http-port", type=click.IntRange(0, 65535), help="Default: the port in SIGNUP_HTTP, 8026."),
        click.option("--smtp-port", type=click.IntRange(0, 65535), help="Default: the port in SIGNUP_SMTP, 8025."),
        click.option("--host", default="127.0.0.1", show_default=True, help="Address the sinks listen on."),
    ):
        command = option(command)
    return command


def _listen_options(port: int) -> Callable[[Command], Command]:
    def with_options(command: Command) -> Command:
        for option in (
            click.option("--port", type=click.IntRange(0, 65535), default=port, show_default=True),
            click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
        ):
            command = option(command)
        return command

    return with_options


def _ports(smtp_port: int | None, http_port: int | None) -> dict[str, int]:
    """The ports asked for; where none was, those that the handlers deliver to."""
    addresses = read_downstreams()
    return {
        "smtp_port": addresses.smtp_port if smtp_port is None else smtp_port,
        "http_port": addresses.http_port if http_port is None else http_port,
    }


def _run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _ledger(stack: ExitStack, record: Path | None) -> Ledger:
    if record is None:
        return Ledger()
    try:
        file = stack.enter_context(record.open("a", buffering=1, encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"--record {record}: cannot be written: {error.strerror}") from None
    return Ledger(file)


@click.group(cls=_Group, invoke_without_command=True)
@_redis_option
@_push_options
@_sink_options
@click.option("--timeout", "timeout_s", type=float, default=DEFAULT_TIMEOUT_S, show_default=True, help="Seconds.")
@click.pass_context
def main(
    ctx: click.Context,
    /,
    host: str,
    smtp_port: int | None,
    http_port: int | None,
    record: Path | None,
    timeout_s: float,
    **push: Any,
) -> None:
    """The sign-up example. Without a command: sinks, events and a live view until everything has arrived.

    Exit codes: 0 all events arrived on all channels, 1 some are missing after --timeout, 2 a wrong option,
    69 Redis cannot be reached, 73 a port of the sinks is busy.
    """
    if ctx.invoked_subcommand is not None:
        return
    with ExitStack() as stack:
        ledger = _ledger(stack, record)
        ports = _ports(smtp_port, http_port)
        missing = _run(_whole_story(ledger, host, ports, timeout_s, **push))
    if missing:
        click.echo("\n".join([f"Not everything had arrived after {timeout_s:g} s.", *missing]), err=True)
        ctx.exit(1)


async def _whole_story(
    ledger: Ledger,
    host: str,
    ports: dict[str, int],
    timeout_s: float,
    file: Path,
    count: int | None,
    rate: float | None,
) -> list[str]:
    """Returns what is missing, one line per channel."""
    console = Console()
    events = read_events(file, count)
    expected = {event["event_id"] for event in events}
    async with running_sinks(ledger, host=host, **ports) as sinks:
        console.print(_listening(host, sinks.smtp_port, sinks.http_port), soft_wrap=True, highlight=False)
        started_mono = time.monotonic()
        await _push_with_progress(events, rate, console)
        last = await watch(ledger, expected, console=console, started_mono=started_mono, timeout_s=timeout_s)
    if last.complete:
        console.print(summary(last), soft_wrap=True, highlight=False)
    return shortfall(ledger, expected)


def _listening(host: str, smtp_port: int, http_port: int) -> str:
    return f"The sinks listen on {host}: SMTP {smtp_port}, HTTP {http_port} (GET /counts)."


async def _push_with_progress(events: list[Event], rate: float | None, console: Console) -> None:
    with Progress(console=console, disable=not console.is_terminal) as bar:
        row = bar.add_task("enqueued", total=len(events))
        await push_events(events, rate, lambda done: bar.update(row, completed=done))
    console.print(f"Enqueued {len(events):,} events.", highlight=False)


@main.command()
@_redis_option
@_push_options
def push(file: Path, count: int | None, rate: float | None) -> None:
    """Enqueue the events of a file; deliver nothing, wait for nothing."""
    events = read_events(file, count)
    _run(_push_with_progress(events, rate, Console()))


@main.command()
@_redis_option
@_sink_options
def sink(host: str, smtp_port: int | None, http_port: int | None, record: Path | None) -> None:
    """Receive mails and webhooks and count them until SIGINT or SIGTERM."""
    with ExitStack() as stack:
        ledger = _ledger(stack, record)
        _run(_sink_until_told(ledger, host, _ports(smtp_port, http_port)))
    click.echo(json.dumps(ledger.counts()))


async def _sink_until_told(ledger: Ledger, host: str, ports: dict[str, int]) -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with running_sinks(ledger, host=host, **ports) as sinks:
        click.echo(_listening(host, sinks.smtp_port, sinks.http_port))
        sys.stdout.flush()
        await told.wait()


def _say_serving(host: str, port: int) -> None:
    click.echo(f"Serving on http://{host}:{port}", err=True)


@main.command()
@_redis_option
@_listen_options(DEFAULT_API_PORT)
def api(host: str, port: int) -> None:
    """Serve POST /signup with FastAPI."""
    with listening(host, port, "--port") as sock:
        _say_serving(*sock.getsockname())
        uvicorn.Server(uvicorn.Config("examples.signup.api:app", access_log=False)).run(sockets=[sock])


@main.command()
@_redis_option
@_listen_options(DEFAULT_FLASK_PORT)
def flask(host: str, port: int) -> None:
    """Serve POST /signup (async view) and POST /signup/sync with Flask, until SIGINT or SIGTERM.

    With werkzeug's threaded server, for this example only. A deployment gives examples.signup.flask_app:app to a WSGI
    server.
    """
    from examples.signup.flask_server import serve  # brings Flask: only here

    with listening(host, port, "--port") as sock:
        serve(sock, ready=_say_serving)


if __name__ == "__main__":
    main(prog_name="python -m examples.signup")
