"""The embedded Redis: a child that becomes the server, as soon as it can, because its siblings wait for it.

Named by `asyncq.cli.supervise` as "module:function". Imports nothing that the supervisor has not imported before.
"""

from __future__ import annotations

from asyncq.broker.embedded import exec_server
from asyncq.cli.supervise import ChildArgs
from asyncq.supervisor.newborn import ChildContext


def run_redis(context: ChildContext) -> int:
    """The embedded Redis: this process becomes the server."""
    args: ChildArgs = context.args
    assert args.embedded_plan is not None
    exec_server(args.embedded_plan)
