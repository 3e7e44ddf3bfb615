"""The catalogue: the only place where a metric's name, type, unit, labels, buckets and help stand.

The recorder counts what stands here, the admin process adds the gauges. Holds definitions, counts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from asyncq.metrics.series import Kind, Metric

UNKNOWN: Final = "_unknown"
"""Task label of a message whose name is not registered here: a message cannot invent a label value."""

OTHER: Final = "_other"
"""Label value of everything beyond MAX_VALUES_PER_TASK."""

MAX_VALUES_PER_TASK: Final = 20
"""Distinct error types, outcomes and reasons per task, each counted apart, in one region."""

SUCCEEDED: Final = "succeeded"

QUEUE_STATES: Final = ("ready", "scheduled", "due", "in_flight", "suspects", "dead")

TASK_DURATION: Final = Metric(
    name="asyncq_task_duration_seconds",
    kind="histogram",
    help="How long attempts ran.",
    labels=("queue", "task"),
    unit="seconds",
    bounds=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
TASKS_PROCESSED: Final = Metric(
    name="asyncq_tasks_processed_total",
    kind="counter",
    help="Attempts that ended, by outcome.",
    labels=("queue", "task", "outcome"),
)
TASK_EXCEPTIONS: Final = Metric(
    name="asyncq_task_exceptions_total",
    kind="counter",
    help="Attempts that ended with an exception, by its type; retried ones count too.",
    labels=("queue", "task", "error_type"),
)
TASKS_IN_PROGRESS: Final = Metric(
    name="asyncq_tasks_in_progress",
    kind="gauge",
    help="Attempts that run now.",
    labels=("queue",),
)
TASKS_DEAD_LETTERED: Final = Metric(
    name="asyncq_tasks_dead_lettered_total",
    kind="counter",
    help="Messages that became dead letters, by reason.",
    labels=("queue", "task", "reason"),
)
TASKS_REDELIVERED: Final = Metric(
    name="asyncq_tasks_redelivered_total",
    kind="counter",
    help="Messages handed back to their queue because the process that held them was lost.",
    labels=("queue", "reason"),
)
LATE_SETTLEMENTS: Final = Metric(
    name="asyncq_late_settlements_total",
    kind="counter",
    help="Settlements refused because the message no longer belonged to the process that ran it.",
    labels=("queue",),
)
QUEUE_TASKS: Final = Metric(
    name="asyncq_queue_tasks",
    kind="gauge",
    help="Messages of a queue by state; every host shows the same, so combine hosts with max.",
    labels=("queue", "state"),
)
QUEUE_OLDEST_AGE: Final = Metric(
    name="asyncq_queue_oldest_age_seconds",
    kind="gauge",
    help="Age of the oldest ready message; 0 when none waits.",
    labels=("queue",),
    unit="seconds",
)
QUEUE_LOAD: Final = Metric(
    name="asyncq_queue_load",
    kind="gauge",
    help="Ready, due and in-flight messages and suspects: the number to scale on.",
    labels=("queue",),
)
REDIS_UP: Final = Metric(
    name="asyncq_redis_up",
    kind="gauge",
    help="1 if Redis answered the last question about queues, else 0 (the queue gauges are then absent).",
)
WORKER_PROCESSES: Final = Metric(
    name="asyncq_worker_processes",
    kind="gauge",
    help="Worker processes by state.",
    labels=("state",),
)
WORKER_RESTARTS: Final = Metric(
    name="asyncq_worker_restarts_total",
    kind="counter",
    help="Worker processes that ended and were to be replaced, by reason.",
    labels=("reason",),
)
WORKER_UP: Final = Metric(
    name="asyncq_worker_up",
    kind="gauge",
    help="1 if the worker of this number (as in its log lines) is ready and its loop beats, else 0.",
    labels=("slot",),
)
WORKER_HEARTBEAT_AGE: Final = Metric(
    name="asyncq_worker_heartbeat_age_seconds",
    kind="gauge",
    help="Time since the event loop of the worker of this number last beat.",
    labels=("slot",),
    unit="seconds",
)
DROPPED_SERIES: Final = Metric(
    name="asyncq_metrics_dropped_series_total",
    kind="counter",
    help="Times a new series found no room or no definition and is not shown.",
)
BUILD_INFO: Final = Metric(
    name="asyncq_build_info",
    kind="info",
    help="Versions of asyncq and Python.",
    labels=("version", "python"),
)

METRICS: Final = (
    TASK_DURATION,
    TASKS_PROCESSED,
    TASK_EXCEPTIONS,
    TASKS_IN_PROGRESS,
    TASKS_DEAD_LETTERED,
    TASKS_REDELIVERED,
    LATE_SETTLEMENTS,
    QUEUE_TASKS,
    QUEUE_OLDEST_AGE,
    QUEUE_LOAD,
    REDIS_UP,
    WORKER_PROCESSES,
    WORKER_RESTARTS,
    WORKER_UP,
    WORKER_HEARTBEAT_AGE,
    DROPPED_SERIES,
    BUILD_INFO,
)
BY_NAME: Final[Mapping[str, Metric]] = MappingProxyType({metric.name: metric for metric in METRICS})

COUNTED: Final[Mapping[str, tuple[Metric, tuple[str, ...]]]] = MappingProxyType(
    {
        "late_settlements": (LATE_SETTLEMENTS, ()),
        "poison": (TASKS_DEAD_LETTERED, (UNKNOWN, "poison")),
        "oversized": (TASKS_DEAD_LETTERED, (UNKNOWN, "oversized")),
        "redelivered": (TASKS_REDELIVERED, ("worker_lost",)),
        "redelivered_lease_expired": (TASKS_REDELIVERED, ("lease_expired",)),
    }
)
"""What `Observer.counted` may say: the metric, and the label values after the queue."""


def of_another_version(name: str, kind: Kind) -> Metric:
    """The definition of what stands in no catalogue here: a process with other code counts it."""
    return Metric(name=name, kind=kind, help="Counted by a process that runs another version of asyncq.")
