"""What each child process of the supervisor runs: here the rooms are put together, after the fork.

Named by `asyncq.cli.supervise` as "module:function" and imported only in the children. Each function gets a
ChildContext whose `args` are `ChildArgs`, and returns an exit code.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from random import Random

import uvloop

import asyncq
from asyncq.admin.app import AdminSources, create_app
from asyncq.admin.queues import QueueSampler
from asyncq.admin.server import serve
from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.embedded import exec_server, wait_ready
from asyncq.broker.inspector import RedisInspector
from asyncq.broker.rehearsal import rehearse
from asyncq.cli import rooms
from asyncq.cli.durability import say_durability
from asyncq.cli.fleet import fleet_view, health_limits, queues_in
from asyncq.cli.supervise import ChildArgs
from asyncq.core import logs
from asyncq.core.contact import Contact
from asyncq.core.errors import EXIT_OK
from asyncq.core.hooks import Crash
from asyncq.maintenance.keeper import Keeper, Maintenance
from asyncq.metrics.recorder import Recorder
from asyncq.supervisor import zygote
from asyncq.supervisor.newborn import ChildContext
from asyncq.supervisor.spec import SupervisorSettings
from asyncq.worker import dump
from asyncq.worker import main as worker_main

log = logging.getLogger("asyncq.supervisor")

EMBEDDED_BOOT_S = 10.0
# As long as the supervisor watches a worker that it has started on trial.
PROBATION_S = SupervisorSettings().probe_ok_s


def run_zygote(context: ChildContext) -> int:
    """The process that imports the app once and forks the workers."""
    household: zygote.Household = context.args
    _begin(context, household.spec.args, "zygote")
    return zygote.run_zygote(context)


def preload(args: ChildArgs) -> rooms.Work:
    """What every worker needs before it has an event loop: the app and the libraries, imported."""
    rehearse(ConnectionSettings(args.redis_url))
    return rooms.load_work(args.app, args.loaded.folder, args.settings, args.redis_url)


def run_worker(context: ChildContext) -> int:
    """A worker process."""
    args: ChildArgs = context.args
    _begin(context, args, f"worker[{context.index}]")
    work: rooms.Work | None = context.prepared
    if work is None:  # there is no zygote
        work = preload(args)
        gc.collect()
        gc.freeze()  # what was imported stays for good: the collector need not look at it again
    assert work is not None
    queues = list(work.queues)
    context.page.set_queues(queues)
    recorder = Recorder(args.segment.region(context.page.index), work.registry)
    _await_embedded(args)
    return worker_main.run(
        lambda: _worker_life(context, work, recorder),
        on_ready=lambda: context.channel.send({"type": "ready", "queues": queues}),
        parent_fd=context.channel.fileno(),
        box_fd=context.box_fd,
        slot=context.page,
        hooks=work.registry.hooks,
        crash=None if context.crash is None else Crash.from_json(context.crash),
        quiet=context.quiet,
    )


def _worker_life(context: ChildContext, work: rooms.Work, recorder: Recorder) -> worker_main.Life:
    args: ChildArgs = context.args
    if context.stderr_fd >= 0:
        asyncio.get_running_loop().call_later(PROBATION_S, _speak_for_itself, context.stderr_fd)
    return rooms.worker_life(args.settings, args.redis_url, work, slot=context.page, observer=recorder)


def _speak_for_itself(stderr_fd: int) -> None:
    """It lives: the supervisor need not keep the end of what it writes to standard error any more."""
    os.dup2(stderr_fd, 2)
    os.close(stderr_fd)
    logs.reopen()  # the file may have been rotated meanwhile


def run_keeper(context: ChildContext) -> int:
    """The process that hands back at once what a dead worker held, promotes and renews."""
    args: ChildArgs = context.args
    _begin(context, args, "keeper")
    _await_embedded(args)
    return uvloop.run(_keep(context, args))


async def _keep(context: ChildContext, args: ChildArgs) -> int:
    stop = _stop_event()
    dump.install(context.box_fd, context.page)
    contact = Contact(Random(), context.page.set_redis_seen)
    broker = rooms.make_broker(args.settings, args.redis_url, "keeper")
    recorder = Recorder(args.segment.region(context.page.index), ())
    maintenance = Maintenance(broker, recorder, contact)
    keeper = Keeper(broker, maintenance, recorder, context.channel.send, rooms.renew_s(args.settings), contact)
    try:
        async with asyncio.TaskGroup() as group:
            services = (maintenance.run(), keeper.run(), _beat(context), _learn_queues(args, maintenance))
            tasks = [group.create_task(service) for service in services]
            if context.generation == 1:  # once at the start: a keeper that takes a dead one's place has no news
                said = say_durability(args.settings, args.redis_url, embedded=args.embedded_plan is not None)
                tasks.append(group.create_task(said))
            _on_messages(context, keeper.order, stop)
            context.channel.send({"type": "ready"})
            await stop.wait()
            for task in tasks:
                task.cancel()
    finally:
        await broker.close()
    return EXIT_OK


def run_admin(context: ChildContext) -> int:
    """The process that answers /metrics and the health checks."""
    args: ChildArgs = context.args
    _begin(context, args, "admin")
    return uvloop.run(_answer(context, args))


async def _answer(context: ChildContext, args: ChildArgs) -> int:
    stop = _stop_event()
    dump.install(context.box_fd, context.page)
    inspector = RedisInspector(ConnectionSettings(args.redis_url))
    sources = AdminSources(
        fleet=lambda: fleet_view(args.scoreboard.snapshot()),
        regions=args.segment.snapshots,
        queues=QueueSampler(inspector, lambda: queues_in(args.scoreboard.snapshot())),
        version=asyncq.__version__,
        limits=health_limits(args.settings),
    )
    _on_messages(context, lambda message: None, stop)
    context.channel.send({"type": "ready"})
    try:
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(_beat(context))
            with socket.socket(fileno=os.dup(args.listener_fd)) as listener:
                await serve(create_app(sources), listener, stop)
            beat.cancel()
    finally:
        await inspector.close()
    return EXIT_OK


def run_redis(context: ChildContext) -> int:
    """The embedded Redis: this process becomes the server."""
    args: ChildArgs = context.args
    assert args.embedded_plan is not None
    exec_server(args.embedded_plan)


def _begin(context: ChildContext, args: ChildArgs, name: str) -> None:
    """The log, and what is written into the black box at a fatal error or when somebody asks with SIGUSR2."""
    logs.configure(name, args.settings.log_level, args.settings.log_format, fields={"generation": context.generation})
    faulthandler.enable(file=context.box_fd, all_threads=True)
    faulthandler.register(signal.SIGUSR2, file=context.box_fd, all_threads=True)
    signal.signal(signal.SIGUSR1, lambda number, frame: logs.reopen())
    if context.generation > 1 and context.prepared is None:
        _say_if_replaced()


def _say_if_replaced() -> None:
    """A supervisor outlives the replacement of its package on the disk; what a child imports from then on is new.

    Shared memory is not at stake: what lies in it was imported by the supervisor, before the fork.
    """
    from importlib import metadata  # slow to import, and only a child that takes a dead one's place wants it

    with contextlib.suppress(metadata.PackageNotFoundError):
        installed = metadata.version("asyncq-supervise")
        if installed != asyncq.__version__:
            remedy = "start the supervisor again: this process runs the old version and the new one mixed"
            log.error("another version is installed", extra={"installed": installed, "remedy": remedy})


def _await_embedded(args: ChildArgs) -> None:
    """An embedded server is a sibling that starts at the same moment: give it the time to come up."""
    if args.embedded_plan is not None:
        wait_ready(args.embedded_plan, EMBEDDED_BOOT_S)


def _stop_event() -> asyncio.Event:
    """Set by the signals that end a helper."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGQUIT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _beat(context: ChildContext) -> None:
    """The loop lives: said from the loop itself."""
    while True:
        context.page.beat()
        await asyncio.sleep(0.5)


async def _learn_queues(args: ChildArgs, maintenance: Maintenance) -> None:
    """Also of workers that register nothing (at-most-once): somebody must promote their retries."""
    while True:
        maintenance.add(queues_in(args.scoreboard.snapshot()))
        await asyncio.sleep(0.5)


def _on_messages(context: ChildContext, handle: Callable[[dict[str, object]], None], stop: asyncio.Event) -> None:
    """Call `handle` for every message of the supervisor; its end is ours."""

    def read() -> None:
        try:
            for message in context.channel.messages("supervisor"):
                handle(message)
        except EOFError:
            asyncio.get_running_loop().remove_reader(context.channel.fileno())
            stop.set()

    asyncio.get_running_loop().add_reader(context.channel.fileno(), read)
