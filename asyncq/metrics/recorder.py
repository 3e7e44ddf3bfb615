"""The recorder: counts what happens to tasks into one region of shared memory.

Made by each worker process and by the keeper, after the fork, on the region of its own slot; told by
consumers, the feeder and the reaper through the Observer door, on the loop's thread only. Makes no system
call, never raises for what a message says, and lets no message invent a label value.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from asyncq.metrics import catalogue
from asyncq.metrics.catalogue import MAX_VALUES_PER_TASK, OTHER, SUCCEEDED, UNKNOWN
from asyncq.metrics.segment import Region
from asyncq.metrics.series import Metric, read_series

_BOUNDS: Final = catalogue.TASK_DURATION.bounds
_SUM: Final = len(_BOUNDS) + 1

_CAPPED: Final = {
    metric.name: metric.labels[-1]
    for metric in (catalogue.TASKS_PROCESSED, catalogue.TASK_EXCEPTIONS, catalogue.TASKS_DEAD_LETTERED)
}


@dataclass(slots=True)
class _Row:
    """Where the numbers of one task on one queue stand: indices of cells."""

    task: str
    buckets: int
    seconds: int
    succeeded: int
    in_progress: int


class Recorder:
    """core.doors.Observer over one region.

    Every `started` must be followed by one `finished` or one
    `not_run` of the same queue, or the number of running attempts is wrong.

    Args:
        region: This process's own; what predecessors counted stays, their running attempts are forgotten.
        known_tasks: The registered names; every other name is shown as `_unknown`.
    """

    __slots__ = ("_admitted", "_cells", "_counters", "_in_progress", "_known", "_region", "_rows")

    def __init__(self, region: Region, known_tasks: Iterable[str]) -> None:
        self._region = region
        self._cells = region.cells
        self._known = frozenset(known_tasks)
        self._rows: dict[tuple[str, str], _Row] = {}
        self._in_progress: dict[str, int] = {}
        self._counters: dict[tuple[str, ...], int] = {}
        self._admitted: dict[tuple[str, str], set[str]] = {}
        self._adopt()

    def started(self, queue: str) -> None:
        """An attempt begins."""
        try:
            self._cells[self._in_progress[queue]] += 1.0
        except KeyError:
            self._cells[self._gauge(queue)] += 1.0

    def not_run(self, queue: str) -> None:
        """What `started` announced did not run after all (unreadable, unknown, expired)."""
        self._cells[self._gauge(queue)] -= 1.0

    def finished(self, queue: str, task: str, outcome: str, duration_s: float, error_type: str) -> None:
        """An attempt ended. `error_type` is the exception's class name, "" when there was none."""
        row = self._rows.get((queue, task)) or self._row(queue, task)
        cells = self._cells
        cells[row.buckets + bisect_left(_BOUNDS, duration_s)] += 1.0
        cells[row.seconds] += duration_s
        cells[row.in_progress] -= 1.0
        if outcome == SUCCEEDED:
            cells[row.succeeded] += 1.0
            return
        self._count_for_task(catalogue.TASKS_PROCESSED, queue, row.task, outcome)
        if error_type:
            self._count_for_task(catalogue.TASK_EXCEPTIONS, queue, row.task, error_type)

    def dead_lettered(self, queue: str, task: str, reason: str) -> None:
        """A message became a dead letter."""
        self._count_for_task(catalogue.TASKS_DEAD_LETTERED, queue, self._task_label(task), reason)

    def counted(self, metric: str, queue: str, amount: int) -> None:
        """Something without a task happened; `metric` is a key of catalogue.COUNTED, else it is dropped."""
        if metric not in catalogue.COUNTED:
            self._region.drop()
        elif amount > 0:
            definition, more = catalogue.COUNTED[metric]
            self._count(definition, (queue, *more), float(amount))

    def _task_label(self, task: str) -> str:
        return task if task in self._known else UNKNOWN

    def _gauge(self, queue: str) -> int:
        index = self._in_progress.get(queue)
        if index is None:
            index = self._in_progress[queue] = self._series(catalogue.TASKS_IN_PROGRESS, (queue,))
        return index

    def _row(self, queue: str, task: str) -> _Row:
        """The row of a task that has none yet; invented names share one and leave nothing behind."""
        task = self._task_label(task)
        row = self._rows.get((queue, task))
        if row is None:
            buckets = self._series(catalogue.TASK_DURATION, (queue, task))
            row = self._rows[queue, task] = _Row(
                task=task,
                buckets=buckets,
                seconds=buckets + _SUM,
                succeeded=self._series(catalogue.TASKS_PROCESSED, (queue, task, SUCCEEDED)),
                in_progress=self._gauge(queue),
            )
        return row

    def _count_for_task(self, metric: Metric, queue: str, task: str, value: str) -> None:
        """Add 1 to a counter whose last label comes from user code: MAX_VALUES_PER_TASK, then `_other`."""
        admitted = self._admitted.setdefault((metric.name, task), set())
        if value not in admitted:
            if len(admitted) < MAX_VALUES_PER_TASK:
                admitted.add(value)
            else:
                value = OTHER
        self._count(metric, (queue, task, value), 1.0)

    def _count(self, metric: Metric, labels: tuple[str, ...], amount: float) -> None:
        key = (metric.name, *labels)
        index = self._counters.get(key)
        if index is None:
            index = self._counters[key] = self._series(metric, labels)
        self._cells[index] += amount

    def _series(self, metric: Metric, labels: tuple[str, ...]) -> int:
        return self._region.series(metric.series(*labels), metric.cell_count)

    def _adopt(self) -> None:
        """Go on where the predecessor stopped: its gauges are void, the values it admitted use up the cap."""
        for name in self._region.names():
            series = read_series(name)
            if series is None:
                continue
            if series.kind == "gauge":
                self._cells[self._region.series(name, series.cell_count)] = 0.0
            elif series.metric in _CAPPED:
                labels = dict(series.labels)
                value = labels.get(_CAPPED[series.metric], OTHER)
                if value not in (OTHER, SUCCEEDED):
                    self._admitted.setdefault((series.metric, labels.get("task", "")), set()).add(value)
