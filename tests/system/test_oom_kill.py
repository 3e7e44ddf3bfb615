"""A worker that the kernel kills for its memory: told as such, replaced, and the supervisor lives."""

from __future__ import annotations

from collections.abc import Callable

import redis

from tests.support.fleet import TASKS, Fleet, message
from tests.support.memory_group import memory_group
from tests.support.states import wait_until

LIMIT_BYTES = 512 * 1024 * 1024
EATER = (
    TASKS
    + """
@task("eat", max_attempts=1)
async def eat(payload):
    record(name="eat", n=payload["n"])
    eaten = [bytearray(b"x") * (1 << 20) for _ in range(4096)]
"""
)
JOIN = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"')


def test_a_kill_for_memory_is_told_as_such(start: Callable[..., Fleet], raw_redis: redis.Redis) -> None:
    with memory_group(LIMIT_BYTES) as group:
        fleet = start("--procs", "2", tasks=EATER, wrapper=(*JOIN, str(group)))
        try:
            fleet.ready()
            raw_redis.rpush("task_queue", message("eat", 1))
            died = wait_until(lambda: fleet.events("child died"))[0]
            assert (died["role"], died["reason"]) == ("worker", "oom")
            assert "out of memory" in died["cause"]
            assert fleet.process.poll() is None
        finally:
            fleet.end()
