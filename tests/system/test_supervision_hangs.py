"""A handler that blocks the event loop for ever, in a real tree: named, put down, and its neighbours run again."""

import json
from collections.abc import Callable
from typing import Any

import redis

from tests.support.fleet import TASKS, Fleet, message
from tests.support.states import wait_until

Start = Callable[..., Fleet]

HANGING = (
    TASKS
    + '''
@task("spin")
async def spin(payload):
    """Hangs in its first `hangs` lives."""
    record(name="spin", n=payload["n"])
    lives = sum('"spin"' in line for line in open(RECORD))
    if lives <= payload["hangs"]:
        while payload.get("gate") and not os.path.exists(payload["gate"]):
            await asyncio.sleep(0.01)  # sleeps: until the others have begun
        spin_for_ever()
    record(name="spun", n=payload["n"])

def spin_for_ever():
    while True:
        pass
'''
)
WATCHDOG = ("--watchdog", "2")


def said_of(fleet: Fleet, *words: str) -> list[dict[str, Any]]:
    """Records of the log in which each of these words stands, wherever."""
    lines = [line for line in list(fleet.lines) if line.startswith("{") and all(word in line for word in words)]
    return [json.loads(line) for line in lines]


def test_a_hang_is_put_down_with_its_stack_and_its_neighbours_run_again_once(
    start: Start, raw_redis: redis.Redis
) -> None:
    fleet = start("--procs", "2", "--per-proc", "4", *WATCHDOG, tasks=HANGING).ready()
    workers = fleet.pids("worker")
    gate = fleet.folder / "gate"
    raw_redis.rpush("task_queue", message("spin", 0, hangs=1, gate=str(gate)))
    (hanging,) = wait_until(lambda: fleet.ran("spin"))
    raw_redis.rpush("task_queue", *(message("hold", n, sleep=3) for n in range(7)))
    wait_until(lambda: len(fleet.ran("hold")) == 7, what="both are full of work")
    gate.touch()
    neighbours = {row["n"] for row in fleet.ran("hold") if row["pid"] == hanging["pid"]}
    wait_until(lambda: fleet.ran("spun"), 20, "it is put down, and the message runs again")
    wait_until(lambda: len({row["n"] for row in fleet.ran("held")}) == 7, 30, "nothing is lost")

    # Task, message and stack, in one record of the log.
    assert said_of(fleet, '"spin"', "spin-0", "in spin_for_ever")
    (died,) = fleet.events("child died")
    assert (hanging["pid"], "hang") == (died["pid"], died["reason"])
    starts = [row["n"] for row in fleet.ran("hold")]
    assert dict.fromkeys(neighbours, 2) == {n: starts.count(n) for n in neighbours}
    assert {1} == {starts.count(n) for n in range(7) if n not in neighbours}
    assert 3 == len(neighbours)
    assert len({*workers, *fleet.pids("worker")}) == 3
    wait_until(lambda: fleet.get("/readyz")[0] == 200, what="it is ready again")
    assert 0 == fleet.stop()


def test_a_hang_is_spoken_of_after_two_seconds_and_nobody_is_killed_before_the_watchdogs_time(
    start: Start, raw_redis: redis.Redis
) -> None:
    fleet = start("--procs", "1", "--watchdog", "60", tasks=HANGING).ready()
    (worker,) = fleet.pids("worker")
    raw_redis.rpush("task_queue", message("spin", 0, hangs=1))
    (begun,) = wait_until(lambda: fleet.ran("spin"))
    (said, *_) = wait_until(lambda: said_of(fleet, '"spin"', "spin-0", "in spin_for_ever"), 10, "it is spoken of")

    assert "warning" == said["level"]
    assert 1.9 <= said["ts"] - begun["at"] < 6
    assert [worker] == fleet.pids("worker")
    assert [] == fleet.events("child died")


def test_a_message_that_always_hangs_is_a_dead_letter_in_the_end_and_others_flow(
    start: Start, raw_redis: redis.Redis
) -> None:
    fleet = start("--procs", "2", "--per-proc", "4", "--watchdog", "1", tasks=HANGING).ready()
    raw_redis.rpush("task_queue", message("spin", 0, hangs=9))
    raw_redis.rpush("task_queue", *(message("note", n, sleep=0.2) for n in range(40)))
    dead = wait_until(lambda: raw_redis.hvals("asyncq:{task_queue}:task_queue:dead:records"), 40, "it is given up")
    wait_until(lambda: len({row["n"] for row in fleet.ran("note")}) == 40, what="nothing is lost")

    (record,) = dead
    assert "poison" == json.loads(record.partition(b"\n")[0])["reason"]
    assert len(fleet.ran("spin")) <= 4
    assert 2 == len(wait_until(lambda: fleet.pids("worker") if len(fleet.pids("worker")) == 2 else []))
    assert 0 == fleet.stop()


def test_a_handler_that_waits_for_long_is_no_hang(start: Start, raw_redis: redis.Redis) -> None:
    fleet = start("--procs", "1", "--watchdog", "2", tasks=HANGING).ready()
    raw_redis.rpush("task_queue", message("note", 0, sleep=4))
    wait_until(lambda: fleet.ran("note"), 20)

    assert [] == fleet.events("child died")
    assert [] == fleet.events("event loop blocked")
    assert 0 == fleet.stop()
