"""What the supervisor promises, measured from outside: deaths, memory, and what a thousand kills leave behind. Linux.

`kills`: a random worker is killed under load. How long until the kernel says that it is gone, until the parent has
written that down, until the replacement is ready, and until each message that it ran is started elsewhere. `memory`:
idle workers of the example's app. `soak`: descriptors and memory of those who stay while their workers are killed.
Workers forked by a zygote and workers that import by themselves (`--no-preload`) take turns.
"""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from benchmarks.procfs import holdings, memory
from benchmarks.server import private_redis
from benchmarks.tree import QUEUE, Row, Tree, bodies, waited

WAYS: Final[dict[str, tuple[str, ...]]] = {"zygote": (), "no-preload": ("--no-preload",)}
HELD: Final = 10  # messages that a worker runs at the same time
TASK_S: Final = 0.05
BACKLOG: Final = 400
ROUND: Final = 10  # kills in a row before it is the other way's turn
IDLE_S: Final = 3.0
LOOKS: Final = 20  # of a soak
STAYING: Final = ("parent", "zygote", "keeper", "admin")
_COUNTED: Final = re.compile(r"^(asyncq_\w+_(?:total|count|bucket)\{[^}]*\}) (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        ways: Keys of WAYS.
        kills: Each way.
        procs: Worker processes.
        runs: Turns of `memory`.
        server: Redis binary, or None.
    """

    ways: tuple[str, ...]
    kills: int
    procs: int
    runs: int
    server: str | None


@contextmanager
def _tree(plan: Plan, way: str, *flags: str) -> Iterator[tuple[Tree, redis.Redis]]:
    with (
        private_redis(plan.server, None, aof=False) as (url, _version),
        tempfile.TemporaryDirectory(prefix="asyncq-bench-") as folder,
        Tree(Path(folder), url, "--procs", str(plan.procs), *flags, *WAYS[way]) as tree,
    ):
        client = redis.Redis.from_url(url)
        yield tree, client
        client.close()


def _say(what: str, **fields: object) -> None:
    print(json.dumps({"scenario": f"supervision {what}", **fields}), flush=True)


# -- kills


class Load:
    """Keeps a backlog in the queue, each message with its own number."""

    def __init__(self, client: redis.Redis) -> None:
        self._client, self._next = client, 0

    def top_up(self) -> None:
        """Push what is missing."""
        missing = BACKLOG - int(self._client.llen(QUEUE))
        if missing > BACKLOG // 4:
            self._client.rpush(QUEUE, *bodies(range(self._next, self._next + missing), TASK_S))
            self._next += missing


def kills(plan: Plan) -> None:
    """Kill in turns; one JSON line per way and figure, then the table."""
    found: dict[str, list[Row]] = {way: [] for way in plan.ways}
    rng = random.Random(1)
    for done in range(0, plan.kills, ROUND):
        for way in plan.ways:
            with _tree(plan, way, "--per-proc", str(HELD)) as (tree, client):
                load, pages = Load(client), Counters(tree)
                found[way] += [_kill(tree, load, pages, rng) for _ in range(min(ROUND, plan.kills - done))]
    rows = []
    for way, each in found.items():
        figures = {
            "gone_ms": [one["gone_ms"] for one in each],
            "noticed_ms": [one["noticed_ms"] for one in each],
            "noticed_after_gone_ms": [one["noticed_ms"] - one["gone_ms"] for one in each],
            "ready_ms": [one["ready_ms"] for one in each],
            "elsewhere_ms": [ms for one in each for ms in one["elsewhere_ms"]],
        }
        fell = sum(one["counters_fell"] for one in each)
        for name, values in figures.items():
            spread = {"p50": _share(values, 0.5), "p99": _share(values, 0.99), "max": _share(values, 1.0)}
            _say("kills", way=way, figure=name, count=len(values), **spread)
            rows.append((way, name, len(values), *spread.values()))
        _say("kills", way=way, figure="counters_fell", count=len(each), total=fell)
    _table(("way", "figure", "count", "p50", "p99", "max"), rows)


def _kill(tree: Tree, load: Load, pages: Counters, rng: random.Random) -> Row:
    """One kill of a worker that has work and has done some: the brake counts only deaths of those that never did."""
    waited(lambda: _all_at_work(tree), "every worker runs something and has ended something", meanwhile=load.top_up)
    until = time.monotonic() + rng.uniform(0.05, 0.25)
    waited(lambda: time.monotonic() >= until, "a random moment", meanwhile=load.top_up)
    victim, index = rng.choice(sorted(tree.living("worker").items()))
    at, gone = _killed(victim)
    died = waited(lambda: tree.of("child died", pid=victim), "the death is noticed")[0]
    mine = tree.held_by(victim)
    ready = waited(lambda: _ready_after(tree, died, index), "the replacement is ready")
    # It may have held nothing just then.
    waited(lambda: _elsewhere(tree, mine, at, victim) is not None, "its messages run elsewhere", meanwhile=load.top_up)
    return {
        "gone_ms": (gone - at) * 1000,
        "noticed_ms": (died["ts"] - at) * 1000,
        "ready_ms": (ready["ts"] - at) * 1000,
        "elsewhere_ms": [(moment - at) * 1000 for moment in _elsewhere(tree, mine, at, victim) or ()],
        "counters_fell": pages.fell(),
    }


def _killed(victim: int) -> tuple[float, float]:
    """When it was killed, and when the kernel said that it had ended: what it had mapped is given back in between."""
    end = os.pidfd_open(victim)
    waiting = select.poll()
    waiting.register(end, select.POLLIN)
    at = time.time()
    os.kill(victim, signal.SIGKILL)
    waiting.poll()
    gone = time.time()
    os.close(end)
    return at, gone


def _all_at_work(tree: Tree) -> bool:
    living = tree.living("worker")
    return len(living) >= 2 and all(tree.held_by(pid) and pid in tree.useful for pid in living)


def _ready_after(tree: Tree, died: Row, index: int) -> Row | None:
    return next((e for e in tree.of("child ready", role="worker", index=index) if e["ts"] >= died["ts"]), None)


def _elsewhere(tree: Tree, mine: list[int], at: float, victim: int) -> list[float] | None:
    """When each of these was started by another process; None while one was not."""
    tree.look_at_record()
    starts = [[begun for begun, pid in tree.started[n] if begun > at and pid != victim] for n in mine]
    return [each[0] for each in starts] if all(starts) else None


class Counters:
    """The page of metrics from one look to the next."""

    def __init__(self, tree: Tree) -> None:
        self._url = tree.of("supervising")[0]["metrics"]
        self._before: dict[str, float] = {}

    def fell(self) -> int:
        """How many counters are lower, or gone, since the last look."""
        with urllib.request.urlopen(self._url, timeout=10) as answer:
            now = {name: float(value) for name, value in _COUNTED.findall(answer.read().decode())}
        fallen = [name for name, value in self._before.items() if now.get(name, -1.0) < value]
        self._before = now
        return len(fallen)


# -- memory


def weigh(plan: Plan) -> None:
    """Weigh idle trees in turns: after the boot, and after work. One JSON line per way and moment, then the table."""
    found: dict[tuple[str, str], list[Row]] = {}
    for _ in range(plan.runs):
        for way in plan.ways:
            with _tree(plan, way) as (tree, client):
                time.sleep(IDLE_S)  # what a worker does when it is ready is done by then
                found.setdefault((way, "after the boot"), []).append(_weights(tree))
                body = json.dumps({"id": "n", "name": "noop", "payload": {}, "timestamp": time.time()})
                client.rpush(QUEUE, *[body] * 20_000)
                _wait_until_empty(client)
                time.sleep(IDLE_S)
                found.setdefault((way, "after 20,000 tasks"), []).append(_weights(tree))
    rows = []
    for (way, moment), each in found.items():
        figures = {key: _median(one[key] for one in each) for key in each[0]}
        _say("memory", way=way, moment=moment, procs=plan.procs, runs=len(each), **figures)
        rows.append((way, moment, *figures.values()))
    _table(("way", "moment", *next(iter(found.values()))[0]), rows)


def _wait_until_empty(client: redis.Redis) -> None:
    waited(lambda: not client.exists(QUEUE), "all have been taken")


def _weights(tree: Tree) -> Row:
    """MiB: private memory of a worker (median, largest), shares of all workers, and of the whole tree."""
    workers = [memory(pid) for pid in tree.living("worker")]
    zygotes = [memory(pid) for pid in tree.living("zygote")]
    return {
        "worker_private": _median(one["private_mib"] for one in workers),
        "worker_private_most": round(max(one["private_mib"] for one in workers), 1),
        "workers_share": round(sum(one["share_mib"] for one in workers), 1),
        "zygote_resident": round(sum(one["resident_mib"] for one in zygotes), 1),
        "tree_share": round(sum(memory(pid)["share_mib"] for pid in tree.pids()), 1),
    }


# -- soak


def soak(plan: Plan) -> None:
    """Kill again and again and look at those who stay; one JSON line per look, then the growth by a straight line."""
    for way in plan.ways:
        with _tree(plan, way, "--per-proc", str(HELD)) as (tree, client):
            _growth(way, _kill_and_look(way, plan, tree, Load(client)))


def _kill_and_look(way: str, plan: Plan, tree: Tree, load: Load) -> list[Row]:
    rng = random.Random(2)
    looks: list[Row] = []
    for number in range(plan.kills + 1):
        useful = waited(lambda: _useful(tree), "somebody has ended something", meanwhile=load.top_up)
        if number % max(1, plan.kills // LOOKS) == 0:
            waited(lambda: len(tree.living("worker")) == plan.procs, "everybody is there", meanwhile=load.top_up)
            looks.append({"kills": number, **_held(tree)})
            _say("soak", way=way, **looks[-1])
        _kill_one(tree, rng.choice(useful))
    return looks


def _kill_one(tree: Tree, victim: int) -> None:
    os.kill(victim, signal.SIGKILL)
    waited(lambda: tree.of("child died", pid=victim), "the death is noticed")


def _useful(tree: Tree) -> list[int]:
    """Workers that have ended something: the brake counts only deaths of others."""
    tree.look_at_record()
    return sorted(pid for pid in tree.living("worker") if pid in tree.useful)


def _held(tree: Tree) -> Row:
    pids = {"parent": tree.process.pid} | {role: pid for role in STAYING for pid in tree.living(role)}
    return {f"{role} {key}": value for role, pid in pids.items() for key, value in holdings(pid).items()}


def _growth(way: str, looks: list[Row]) -> None:
    """Per 1,000 kills, by least squares over the second half: what is made once and kept is no growth."""
    half = looks[(len(looks) - 1) // 2 :]
    rows = []
    for key in half[0]:
        if key != "kills":
            slope = statistics.linear_regression([one["kills"] for one in half], [one[key] for one in half]).slope
            rows.append((way, key, looks[0][key], half[0][key], looks[-1][key], round(slope * 1000, 1)))
    _table(("way", "what", "at first", "at half", "at last", "growth per 1,000 kills"), rows)


# -- figures


def _share(values: list[float], share: float) -> float:
    """The smallest value that so much of all does not exceed."""
    ordered = sorted(values)
    return round(ordered[max(0, -int(-share * len(ordered) // 1) - 1)], 1)


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 1)


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    for row in (head, ("---",) * len(head), *rows):
        print(f"| {' | '.join(str(cell) for cell in row)} |")
