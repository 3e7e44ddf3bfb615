"""What counting one task costs: our shared memory beside prometheus_client, in one process and in multiprocess mode.

Every way has a process of its own, because a variable read at import chooses prometheus_client's mode; all share one
core and take turns, so that the ratios hold where the figures do not. One task is what the recorder is told of one: a
gauge up and down, an observation of a histogram with the buckets of our catalogue, a counter. Afterwards the ways that
add processes up write a page of 30 tasks, while more and more of the processes that counted have died.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Final

from asyncq.metrics import catalogue
from asyncq.metrics.aggregate import aggregate
from asyncq.metrics.recorder import Recorder
from asyncq.metrics.segment import Segment

QUEUE: Final = "bench"
TASKS: Final = [f"task {number}" for number in range(30)]
LIVING: Final = 4
FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
WAYS: Final = ("nothing", "ours", "single, kept", "single, labels()", "multiprocess, kept", "multiprocess, labels()")
ADDING_UP: Final = ("ours", "multiprocess, kept")

Count = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Book:
    """One way to count.

    Attributes:
        open: The counting function of the process that calls it, which has that slot.
        page: Everybody's numbers as text.
        died: Told the pid of a process that counted and ended.
    """

    open: Callable[[int], Count]
    page: Callable[[], bytes]
    died: Callable[[int], object] = lambda pid: None


def main(tasks: int, runs: int, deaths: list[int], cpu: int | None) -> None:
    """Measure in turns; prints one JSON line per way, then one per way and number of deaths."""
    with tempfile.TemporaryDirectory(prefix="asyncq-bench-") as folder, _processes(folder, cpu) as pipes:
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for turn in range(runs + 1):
            for way, pipe in pipes.items():
                found = _ask(pipe, "count", tasks)
                if turn:  # the first one warms up
                    times[way].append(found)
        base = statistics.median(times["ours"])
        for way, each in times.items():
            _say(way=way, us=_spread(each), ratio=round(statistics.median(each) / base, 2))
        for number in deaths:
            for way in ADDING_UP:
                pages = _ask(pipes[way], "page", number)
                _say(way=way, deaths=number, page_ms=_spread(pages["ms"]), page_bytes=pages["bytes"])


def _ask(pipe: Connection, what: str, number: int) -> Any:
    pipe.send((what, number))
    return pipe.recv()


def _say(**fields: object) -> None:
    print(json.dumps({"scenario": "metrics", **fields}), flush=True)


def _spread(values: list[float]) -> list[float]:
    """Median, smallest, largest."""
    return [round(value, 3) for value in (statistics.median(values), min(values), max(values))]


@contextmanager
def _processes(folder: str, cpu: int | None) -> Iterator[dict[str, Connection]]:
    """A process per way, waiting for questions; they end with the pipes."""
    context, pipes, children = get_context("spawn"), {}, []
    for number, way in enumerate(WAYS):
        own = os.path.join(folder, str(number))
        os.mkdir(own)
        pipes[way], theirs = context.Pipe()
        children.append(context.Process(target=_serve, args=(theirs, way, own, cpu)))
        children[-1].start()
        theirs.close()
    try:
        yield pipes
    finally:
        for pipe in pipes.values():
            pipe.close()
        for child in children:
            child.join()


def _serve(pipe: Connection, way: str, folder: str, cpu: int | None) -> None:
    """The process of one way."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    book = _book(way, folder)
    count, seen = book.open(0), 0
    while True:
        try:
            what, number = pipe.recv()
        except EOFError:
            return
        if what == "count":
            pipe.send(_us_per_task(count, number))
        else:
            _let_die(book, number + LIVING - seen, seen)
            seen = number + LIVING
            pipe.send(_pages(book))


def _us_per_task(count: Count, tasks: int) -> float:
    rng = random.Random(1)
    sample = [(rng.choice(TASKS), 10 ** rng.uniform(-3, 1)) for _ in range(1000)]
    started = time.process_time()
    for _ in range(tasks // len(sample)):
        for task, duration_s in sample:
            count(task, duration_s)
    return (time.process_time() - started) / tasks * 1e6


def _let_die(book: Book, processes: int, first: int) -> None:
    """Each counts every task once in a slot that a dead one has left, and ends."""
    for number in range(first, first + processes):
        pid = os.fork()
        if pid == 0:
            count = book.open(number % LIVING)
            for task in TASKS:
                count(task, 0.1)
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError("a process that was to count has failed")
        book.died(pid)


def _pages(book: Book) -> dict[str, Any]:
    times, body = [], b""
    for _ in range(6):
        started = time.process_time()
        body = book.page()
        times.append((time.process_time() - started) * 1000)
    return {"ms": times[1:], "bytes": len(body)}


def _book(way: str, folder: str) -> Book:
    if way == "nothing":
        return Book(lambda slot: lambda task, duration_s: None, lambda: b"")
    if way == "ours":
        return _ours()
    mode, _, how = way.partition(", ")
    return _theirs(folder if mode == "multiprocess" else "", kept=how == "kept")


def _ours() -> Book:
    from asyncq.metrics.exposition import render

    segment = Segment.create(LIVING)

    def open_slot(slot: int) -> Count:
        recorder = Recorder(segment.region(slot), TASKS)

        def count(task: str, duration_s: float) -> None:
            recorder.started(QUEUE)
            recorder.finished(QUEUE, task, "succeeded", duration_s, "")

        return count

    return Book(open_slot, lambda: render(aggregate(segment.snapshots(), range(LIVING)), "")[0])


def _theirs(folder: str, *, kept: bool) -> Book:
    """prometheus_client's own metrics; `folder` chooses multiprocess mode."""
    if "prometheus_client" in sys.modules:
        raise RuntimeError("prometheus_client is imported already: it would not look at the variable any more")
    if folder:
        os.environ[FOLDER] = folder
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values

    if bool(folder) != (values.ValueClass is not values.MutexValue):
        raise RuntimeError("prometheus_client counts in another mode than was asked for")
    own = CollectorRegistry()
    running = Gauge("running", "Run now.", ["queue"], registry=own, multiprocess_mode="livesum")
    bounds = catalogue.TASK_DURATION.bounds
    seconds = Histogram("seconds", "How long.", ["queue", "task"], registry=own, buckets=bounds)
    ended = Counter("ended", "Ended.", ["queue", "task", "outcome"], registry=own)
    children = {task: (seconds.labels(QUEUE, task), ended.labels(QUEUE, task, "succeeded")) for task in TASKS}
    in_queue = running.labels(QUEUE)

    def by_labels(task: str, duration_s: float) -> None:
        running.labels(QUEUE).inc()
        seconds.labels(QUEUE, task).observe(duration_s)
        running.labels(QUEUE).dec()
        ended.labels(QUEUE, task, "succeeded").inc()

    def by_children(task: str, duration_s: float) -> None:
        in_queue.inc()
        histogram, counter = children[task]
        histogram.observe(duration_s)
        in_queue.dec()
        counter.inc()

    def page() -> bytes:
        everybody = CollectorRegistry()
        multiprocess.MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return generate_latest(everybody)

    def died(pid: int) -> None:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call] # as its documentation asks for

    return Book(lambda slot: by_children if kept else by_labels, page, died if folder else lambda pid: None)
