"""The keeper: the maintenance room and a broker in a process of their own.

Named by `asyncq.cli.supervise` as "module:function" and imported only in this child. Of the worker's room it imports
`dump` only.
"""

from __future__ import annotations

import asyncio
from random import Random

import uvloop

from asyncq.cli import brokers, child_loop, children
from asyncq.cli.durability import say_durability
from asyncq.cli.fleet import queues_in
from asyncq.cli.supervise import ChildArgs
from asyncq.core.contact import Contact
from asyncq.core.errors import EXIT_OK
from asyncq.maintenance.keeper import Keeper, Maintenance
from asyncq.metrics.recorder import Recorder
from asyncq.supervisor.newborn import ChildContext
from asyncq.worker import dump


def run_keeper(context: ChildContext) -> int:
    """The process that hands back at once what a dead worker held, promotes and renews."""
    args: ChildArgs = context.args
    children.begin(context, args, "keeper")
    children.await_embedded(args)
    return uvloop.run(_keep(context, args))


async def _keep(context: ChildContext, args: ChildArgs) -> int:
    stop = child_loop.stop_event()
    dump.install(context.box_fd, context.page)
    contact = Contact(Random(), context.page.set_redis_seen)
    broker = brokers.make_broker(args.settings, args.redis_url, "keeper")
    recorder = Recorder(args.segment.region(context.page.index), ())
    maintenance = Maintenance(broker, recorder, contact)
    keeper = Keeper(broker, maintenance, recorder, context.channel.send, brokers.renew_s(args.settings), contact)
    try:
        async with asyncio.TaskGroup() as group:
            services = (maintenance.run(), keeper.run(), child_loop.beat(context), _learn_queues(args, maintenance))
            tasks = [group.create_task(service) for service in services]
            if context.generation == 1:  # once at the start: a keeper that takes a dead one's place has no news
                said = say_durability(args.settings, args.redis_url, embedded=args.embedded_plan is not None)
                tasks.append(group.create_task(said))
            child_loop.on_messages(context, keeper.order, stop)
            context.channel.send({"type": "ready"})
            await stop.wait()
            for task in tasks:
                task.cancel()
    finally:
        await broker.close()
    return EXIT_OK


async def _learn_queues(args: ChildArgs, maintenance: Maintenance) -> None:
    """Also of workers that register nothing (at-most-once): somebody must promote their retries."""
    while True:
        maintenance.add(queues_in(args.scoreboard.snapshot()))
        await asyncio.sleep(0.5)
