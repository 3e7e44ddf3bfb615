"""A supervisor of toy children, run as `python -m tests.support.toy_supervisor JSON`; prints one JSON line per event.

JSON: {"specs": [{...ChildSpec...}], "settings": {...}, "refuse_forks": n, "without_pidfd": bool,
"preload": name of a toy}. A spec with `from_zygote` gets a zygote, which calls `preload`.
"""

import dataclasses
import errno
import json
import os
import sys
import time
from typing import Any

from asyncq.core import logs
from asyncq.supervisor.arbiter import Arbiter
from asyncq.supervisor.channel import Channel
from asyncq.supervisor.newborn import Order
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.spawn import ForkSpawner
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings
from asyncq.supervisor.zygote import Household


class RefusingSpawner:
    """Refuses the first `count` forks as a full process table would."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._real = ForkSpawner()

    def spawn(self, order: Order) -> tuple[int, Channel]:
        if self._left:
            self._left -= 1
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return self._real.spawn(order)


def main(config: dict[str, Any]) -> int:
    logs.configure("supervisor", "INFO", "json")
    specs = [ChildSpec(**{**spec, "keep_fds": tuple(spec.get("keep_fds", ()))}) for spec in config["specs"]]
    board = Scoreboard(sum(spec.count for spec in specs) + 1)
    for spec in [spec for spec in specs if spec.from_zygote]:
        household = Household(spec, board, f"tests.support.toy_children:{config['preload']}")
        specs.insert(0, ChildSpec("zygote", "asyncq.supervisor.zygote:run_zygote", args=household, boot_timeout_s=20))

    def show(event: object) -> None:
        supervisor = board.snapshot().supervisor
        line = {
            "event": type(event).__name__,
            **dataclasses.asdict(event),  # type: ignore[call-overload]
            "at": time.monotonic(),
            "tree": supervisor.state.name,
            "restarts": dict(supervisor.restarts),
        }
        os.write(1, json.dumps(line).encode() + b"\n")  # one write: the children share this pipe

    if config.get("without_pidfd") and hasattr(os, "pidfd_open"):
        del os.pidfd_open
    spawner = RefusingSpawner(config.get("refuse_forks", 0))
    arbiter = Arbiter(specs, board, SupervisorSettings(**config.get("settings", {})), show, spawner=spawner)
    return arbiter.run()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
