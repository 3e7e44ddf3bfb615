"""The admin process: the pages, with what they are made of. The only child that imports the HTTP server.

Named by `asyncq.cli.supervise` as "module:function" and imported only in this child.
"""

from __future__ import annotations

import asyncio
import os
import socket

import uvloop

import asyncq
from asyncq.admin.app import AdminSources, create_app
from asyncq.admin.queues import QueueSampler
from asyncq.admin.server import serve
from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.inspector import RedisInspector
from asyncq.cli import child_loop, children
from asyncq.cli.fleet import fleet_view, health_limits, queues_in
from asyncq.cli.supervise import ChildArgs
from asyncq.core.errors import EXIT_OK
from asyncq.supervisor.newborn import ChildContext
from asyncq.worker import dump


def run_admin(context: ChildContext) -> int:
    """The process that answers /metrics and the health checks."""
    args: ChildArgs = context.args
    children.begin(context, args, "admin")
    return uvloop.run(_answer(context, args))


async def _answer(context: ChildContext, args: ChildArgs) -> int:
    stop = child_loop.stop_event()
    dump.install(context.box_fd, context.page)
    inspector = RedisInspector(ConnectionSettings(args.redis_url))
    sources = AdminSources(
        fleet=lambda: fleet_view(args.scoreboard.snapshot()),
        regions=args.segment.snapshots,
        queues=QueueSampler(inspector, lambda: queues_in(args.scoreboard.snapshot())),
        version=asyncq.__version__,
        limits=health_limits(args.settings),
    )
    child_loop.on_messages(context, lambda message: None, stop)
    context.channel.send({"type": "ready"})
    try:
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(child_loop.beat(context))
            with socket.socket(fileno=os.dup(args.listener_fd)) as listener:
                await serve(create_app(sources), listener, stop)
            beat.cancel()
    finally:
        await inspector.close()
    return EXIT_OK
