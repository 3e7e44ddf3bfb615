"""Apps that cannot live and messages that kill, in a real tree: bounded, said, and the right exit code.

With the real time of 45 s until a crash loop is given up, and with 100 messages: `./run python -m tests.chaos
bar-crash-loop bar-poison-hundred --full`.
"""

import json
import time
from collections.abc import Callable

import pytest
import redis

from tests.support.fleet import TASKS, Fleet, message
from tests.support.states import wait_until

Start = Callable[..., Fleet]


# The clock begins in the process that runs the tasks: forked from the one that imported this, or that one itself.
DOOMED = """
import os, threading
from asyncq import task

@task("nothing")
async def nothing(payload): ...

def die():
    os.write(2, b"cannot reach the license server\\n")
    os._exit(13)

def begin():
    threading.Timer(0.3, die).start()

if os.environ["DOOMED"] == "forked":
    os.register_at_fork(after_in_child=begin)
else:
    begin()
"""


@pytest.mark.parametrize(
    ("flags", "doomed"),
    [
        ((), "forked"),
        (("--no-preload",), "itself"),
    ],
)
def test_an_app_whose_workers_die_soon_is_given_up_after_a_bounded_number_of_starts(
    start: Start, flags: tuple[str, ...], doomed: str
) -> None:
    fleet = start("--procs", "2", "--crash-loop-exit", "4", *flags, tasks=DOOMED, env={"DOOMED": doomed})
    wait_until(lambda: fleet.events("crash loop suspected") or fleet.process.poll() is not None, 20, "the brake")
    unready = wait_until(lambda: "crash loop suspected" in fleet.get("/readyz")[1], what="not ready, and why")
    code = fleet.process.wait(20)
    fleet.end()

    assert unready
    assert 1 == code
    (suspected,) = fleet.events("crash loop suspected")
    assert (6, 60.0, 5, 4.0) == tuple(suspected[key] for key in ("deaths", "window_s", "limit", "gives_up_after_s"))
    # The first death of a slot is replaced at once, the next ones after a pause that grows.
    died = [event for event in fleet.events("child died") if event["role"] == "worker" and event["index"] == 0]
    pauses = [event["again_in_s"] for event in died if "again_in_s" in event]
    assert 0.0 == pauses[0] < pauses[1] <= 0.5 < max(pauses)
    # 6 until the brake, whoever was on its way then, and one probe at a time with growing pauses.
    assert 6 <= len([event for event in fleet.events("child died") if event["role"] == "worker"]) <= 14
    (sentence,) = [line for line in fleet.lines if line.startswith("asyncq: ")]
    assert "crash loop" in sentence
    assert "cannot reach the license server" in fleet.lines[fleet.lines.index(sentence) + 1 :]


@pytest.mark.parametrize(
    ("app", "said", "flags"),
    [
        ("import no_such_module\n", "No module named 'no_such_module'", ()),
        ("import no_such_module\n", "No module named 'no_such_module'", ("--no-preload",)),
        ("from asyncq import task\nx = 1 / 0\n", "ZeroDivisionError: division by zero", ()),
        ("def half(:\n", "invalid syntax", ()),
        ("raise SystemExit(4)\n", "SystemExit", ()),
    ],
    ids=["missing", "missing, without a zygote", "division", "syntax", "exit"],
)
def test_a_broken_import_is_one_readable_sentence_and_exit_3_within_two_seconds(
    start: Start, app: str, said: str, flags: tuple[str, ...]
) -> None:
    began = time.monotonic()
    fleet = start("--procs", "4", *flags, tasks=app)
    code = fleet.process.wait(20)
    took_s = time.monotonic() - began
    fleet.end()

    assert 3 == code
    assert took_s < 2
    sentences = [line for line in fleet.lines if line.startswith("asyncq: ")]
    assert 1 == len(sentences), fleet.lines
    assert said in sentences[0]
    assert "tasks" in sentences[0]


POISON = (
    TASKS
    + """
@task("die")
async def die(payload):
    record(name="die", n=payload["n"])
    os.kill(os.getpid(), 9) if payload["n"] % 20 else os._exit(9)
"""
)


def test_messages_that_end_their_process_become_dead_letters_and_others_flow(
    start: Start, raw_redis: redis.Redis
) -> None:
    fleet = start("--procs", "2", "--per-proc", "5", tasks=POISON).ready()
    count = 6
    for n in range(60):
        raw_redis.rpush("task_queue", message("note", n, sleep=0.05))
        if n % 10 == 0:
            raw_redis.rpush("task_queue", message("die", n))
    wait_until(lambda: raw_redis.zcard("asyncq:{task_queue}:task_queue:dead") == count, 60, "all are given up")
    wait_until(lambda: len({row["n"] for row in fleet.ran("note")}) == 60, 30, "the others have run")

    records = raw_redis.hvals("asyncq:{task_queue}:task_queue:dead:records")
    reasons = [json.loads(record.partition(b"\n")[0])["reason"] for record in records]  # type: ignore[union-attr]
    assert ["poison"] * count == reasons
    assert fleet.process.poll() is None
    assert [] == fleet.events("gave up")
    raw_redis.rpush("task_queue", message("note", 99))
    wait_until(lambda: [row for row in fleet.ran("note") if row["n"] == 99], 30, "it still works")
    assert 0 == fleet.stop()
