"""The zygote: imports the app once, then only forks workers on command, each of them a child of the arbiter.

Runs in a process of its own, forked by the arbiter and named by the roof as a target. One thread, no event loop, no
connection: whatever of these the app made while it was imported is named in the log, because no fork survives it.
"""

from __future__ import annotations

import gc
import logging
import os
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn

from asyncq.core.errors import EXIT_OK
from asyncq.supervisor import fork_safety, signals
from asyncq.supervisor.channel import Channel, readable
from asyncq.supervisor.newborn import ChildContext, Order, live_adopted
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.spawn import fork_orphan
from asyncq.supervisor.spec import ChildSpec

_log = logging.getLogger("asyncq.supervisor")

BEAT_S: Final = 0.5
# The channel, the black box, and standard error while it is captured.
_MOST_FDS: Final = 3


@dataclass(frozen=True, slots=True)
class Household:
    """What a zygote is given as its `args`.

    Attributes:
        spec: Of the children it forks.
        board: Pages of all slots.
        preload: "module:function", called once with the spec's args; what it returns is every child's `prepared`.
    """

    spec: ChildSpec
    board: Scoreboard
    preload: str


def run_zygote(context: ChildContext) -> int:
    """Prepare, say ready, fork until the arbiter hangs up. Returns an exit code."""
    household: Household = context.args
    gc.disable()  # what an import throws away leaves holes that the children would have to copy
    before = signals.dispositions()
    prepared = pkgutil.resolve_name(household.preload)(household.spec.args)
    signals.put_back(before)  # an app may set handlers when it is imported: here they would keep us from our work
    gc.collect()
    _warn(context)  # before the freeze, which hides objects from whoever looks for them
    gc.freeze()  # or the first collection in a child would write to every object, and so copy every page
    context.page.beat()
    context.channel.send({"type": "ready"})
    _serve(context, household, prepared)
    return EXIT_OK


def _warn(context: ChildContext) -> None:
    found = []
    try:
        fork_orphan(lambda mask: os._exit(EXIT_OK))  # afterwards the at-fork hooks of libraries have done their work
    except OSError as error:
        found.append(str(error))
    ours = {context.channel.fileno(), context.box_fd, *context.args.spec.keep_fds}
    for thing in [*found, *fork_safety.unsafe_things(ours)]:
        _log.warning("fork is not safe", extra={"what": thing, "remedy": fork_safety.REMEDY})


def _serve(context: ChildContext, household: Household, prepared: Any) -> None:
    channel = context.channel
    arbiter_pid = os.getppid()
    ours = (channel.fileno(), context.box_fd)
    served = 0
    while True:
        context.page.beat()
        readable(channel.fileno(), BEAT_S)
        try:
            asked = channel.receive_with(_MOST_FDS)
        except EOFError:
            return
        if asked is None:
            continue
        message, fds = asked
        try:
            channel.send(_forked(message, fds, household, prepared, arbiter_pid, ours))
        finally:
            for fd in fds:
                os.close(fd)
        served += 1
        context.page.set_load(0, served)  # the death of one that has served is no sign of a crash loop


def _forked(
    message: dict[str, Any],
    fds: list[int],
    household: Household,
    prepared: Any,
    arbiter_pid: int,
    ours: tuple[int, ...],
) -> dict[str, Any]:
    """Carry out one order. Returns the answer."""
    page = household.board.page(message["slot"])
    order = Order(
        household.spec,
        page.role_index,
        message["generation"],
        page,
        box_fd=fds[1] if len(fds) > 1 else -1,
        captured_fd=fds[2] if len(fds) > 2 else -1,
        quiet=message["quiet"],
        crash=message["crash"],
    )
    life = partial(_begin_life, order, fds[0], arbiter_pid, prepared, ours)
    try:
        pid = fork_orphan(life)
    except OSError as error:  # a TimeoutError is one, too
        return {"type": "not_forked", "seq": message["seq"], "error": str(error)}
    return {"type": "forked", "seq": message["seq"], "pid": pid}


def _begin_life(
    order: Order, channel_fd: int, arbiter_pid: int, prepared: Any, ours: tuple[int, ...], mask: Iterable[int]
) -> NoReturn:
    live_adopted(order, Channel(channel_fd), mask, arbiter_pid, prepared, ours)
