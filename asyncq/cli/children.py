"""What children of the supervisor do first, before any of them has a loop: the log, the black box, the wait for Redis.

Called by the modules of the children (`child_worker`, `child_keeper`, `child_admin`; `child_redis` needs none of it).
There the rooms are put together, after the fork, by functions that `asyncq.cli.supervise` names as "module:function".
Each gets a ChildContext whose `args` are `ChildArgs`, and returns an exit code. None imports what only another needs.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import signal

import asyncq
from asyncq.broker.embedded import wait_ready
from asyncq.cli.supervise import ChildArgs
from asyncq.core import logs
from asyncq.supervisor.newborn import ChildContext

log = logging.getLogger("asyncq.supervisor")

EMBEDDED_BOOT_S = 10.0


def begin(context: ChildContext, args: ChildArgs, name: str) -> None:
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


def await_embedded(args: ChildArgs) -> None:
    """An embedded server is a sibling that starts at the same moment: give it the time to come up."""
    if args.embedded_plan is not None:
        wait_ready(args.embedded_plan, EMBEDDED_BOOT_S)
