"""Three processes count into one segment, are killed at random and succeeded, while a reader watches."""

from __future__ import annotations

import json
import random
import subprocess
import sys

# Runs by itself, so that pytest's process never forks. Each child counts with a Recorder and keeps two numbers of
# its own beside it: attempts begun and attempts ended. Killed in between, it leaves the one begun attempt in doubt.
SCRIPT = r"""
import json, mmap, os, random, signal, sys, time
from asyncq.metrics.aggregate import aggregate
from asyncq.metrics.recorder import Recorder
from asyncq.metrics.segment import Segment

seed, kills = int(sys.argv[1]), int(sys.argv[2])
rng = random.Random(seed)
slots = 3
segment = Segment.create(slots)
witness = memoryview(mmap.mmap(-1, 4096)).cast("Q")
names = ["task %d" % number for number in range(50)]

def child(slot, seed):
    draw = random.Random(seed)
    recorder = Recorder(segment.region(slot), names)
    while not witness[100]:
        known = 1 + min(len(names) - 1, witness[2 * slot] // 2_000)  # so that series are appended all the time
        name = names[draw.randrange(known)]
        witness[2 * slot] += 1
        recorder.started("q")
        recorder.finished("q", name, "failed", draw.random(), "Error%d" % draw.randrange(100))
        witness[2 * slot + 1] += 1

def spawn(slot):
    seed = rng.randrange(2**32)
    pid = os.fork()
    if pid:
        return pid
    try:
        child(slot, seed)
        os._exit(0)
    finally:
        os._exit(1)

seen, scrapes, fallen = {}, 0, []

def scrape():
    global scrapes
    scrapes += 1
    for family in aggregate(segment.snapshots(), range(slots)):
        if family.metric.kind == "gauge":
            continue
        values = {(family.metric.name, point.labels): point.value for point in family.points}
        for each in family.distributions:
            values[family.metric.name, each.labels, "sum"] = each.sum
            values.update(((family.metric.name, each.labels, i), count) for i, count in enumerate(each.counts))
        for key in [key for key in seen if key[0] == family.metric.name and key not in values]:
            fallen.append([str(key), seen[key], None])
        for key, value in values.items():
            if value < seen.get(key, 0.0):
                fallen.append([str(key), seen[key], value])
            seen[key] = value

pids = [spawn(slot) for slot in range(slots)]
for _ in range(kills):
    slot = rng.randrange(slots)
    wanted = witness[2 * slot] + rng.choice((0, 1, 50, 500))
    deadline = time.monotonic() + 30
    while witness[2 * slot] < wanted:
        assert time.monotonic() < deadline, "a child does not count"
        scrape()
    os.kill(pids[slot], signal.SIGKILL)
    status = os.waitpid(pids[slot], 0)[1]
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    pids[slot] = spawn(slot)
    scrape()
witness[100] = 1
ends = [os.waitpid(pid, 0)[1] for pid in pids]
scrape()

result = []
for slot in range(slots):
    sums = {"processed": 0.0, "exceptions": 0.0, "durations": 0.0}
    for family in aggregate([segment.snapshot(slot)], ()):
        points = sum(point.value for point in family.points)
        if family.metric.name == "asyncq_tasks_processed_total":
            sums["processed"] += points
        elif family.metric.name == "asyncq_task_exceptions_total":
            sums["exceptions"] += points
        sums["durations"] += sum(each.counts[-1] for each in family.distributions)
    result.append({"begun": witness[2 * slot], "ended": witness[2 * slot + 1], **sums})
dropped = sum(segment.snapshot(slot).dropped for slot in range(slots))
print(json.dumps({"ends": ends, "fallen": fallen, "scrapes": scrapes, "slots": result, "dropped": dropped}))
"""


def test_no_number_ever_decreases_and_sums_are_exact_when_writers_are_killed_at_random() -> None:
    seed, kills = random.randrange(2**32), 40
    print("seed", seed)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(seed), str(kills)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["ends"] == [0, 0, 0]
    assert result["dropped"] == 0
    assert result["fallen"] == []
    assert result["scrapes"] > kills
    in_doubt = 0
    for slot in result["slots"]:
        assert slot["ended"] > 0
        for counted in ("processed", "exceptions", "durations"):
            assert slot["ended"] <= slot[counted] <= slot["begun"]
        in_doubt += slot["begun"] - slot["ended"]
    assert in_doubt <= kills  # each death leaves at most the one attempt it was counting
