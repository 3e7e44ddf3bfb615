"""The worker, and the zygote that forks workers: what they need is imported once, by whichever of them comes first.

Named by `asyncq.cli.supervise` as "module:function" and imported only in these children. One module for both: a worker
finds everything in the zygote's memory and imports nothing by itself.
"""

from __future__ import annotations

import asyncio
import gc
import os

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.rehearsal import rehearse
from asyncq.cli import children, rooms
from asyncq.cli.supervise import ChildArgs
from asyncq.core import logs
from asyncq.core.hooks import Crash
from asyncq.metrics.recorder import Recorder
from asyncq.supervisor import zygote
from asyncq.supervisor.newborn import ChildContext
from asyncq.supervisor.spec import SupervisorSettings
from asyncq.worker import main as worker_main

# As long as the supervisor watches a worker that it has started on trial.
PROBATION_S = SupervisorSettings().probe_ok_s


def run_zygote(context: ChildContext) -> int:
    """The process that imports the app once and forks the workers."""
    household: zygote.Household = context.args
    children.begin(context, household.spec.args, "zygote")
    return zygote.run_zygote(context)


def preload(args: ChildArgs) -> rooms.Work:
    """What every worker needs before it has an event loop: the app and the libraries, imported."""
    rehearse(ConnectionSettings(args.redis_url))
    return rooms.load_work(args.app, args.loaded.folder, args.settings, args.redis_url)


def run_worker(context: ChildContext) -> int:
    """A worker process."""
    args: ChildArgs = context.args
    children.begin(context, args, f"worker[{context.index}]")
    work: rooms.Work | None = context.prepared
    if work is None:  # there is no zygote
        work = preload(args)
        gc.collect()
        gc.freeze()  # what was imported stays for good: the collector need not look at it again
    assert work is not None
    queues = list(work.queues)
    context.page.set_queues(queues)
    recorder = Recorder(args.segment.region(context.page.index), work.registry)
    children.await_embedded(args)
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
