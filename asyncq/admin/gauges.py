"""What is not counted but looked at: sizes of queues, states of workers, versions. Pure.

Called by `app` at each scrape; the result stands beside what `metrics.aggregate` summed.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable

from asyncq.admin.health import FleetView, HealthLimits, is_up
from asyncq.admin.queues import QueueSample
from asyncq.core.doors import QueueStats
from asyncq.metrics import catalogue
from asyncq.metrics.aggregate import Family, Point
from asyncq.metrics.series import Metric
from asyncq.supervisor.scoreboard import State


def queue_families(sample: QueueSample) -> list[Family]:
    """Sizes of queues; without an answer of Redis only that it is away."""
    up = _family(catalogue.REDIS_UP, [((), float(sample.redis_up))])
    if not sample.stats:
        return [up]
    return [
        _family(
            catalogue.QUEUE_TASKS,
            [
                ((each.queue, state), float(getattr(each, state)))
                for each in sample.stats
                for state in catalogue.QUEUE_STATES
            ],
        ),
        _family(catalogue.QUEUE_OLDEST_AGE, [((each.queue,), each.oldest_age_s or 0.0) for each in sample.stats]),
        _family(catalogue.QUEUE_LOAD, [((each.queue,), float(_load(each))) for each in sample.stats]),
        up,
    ]


def worker_families(fleet: FleetView, limits: HealthLimits) -> list[Family]:
    """States, restarts and signs of life of the workers."""
    states = [worker.state for worker in fleet.workers]
    ages = [
        ((str(worker.index),), worker.beat_age_s)
        for worker in fleet.workers
        if worker.pid and worker.beat_age_s is not None
    ]
    return [
        _family(
            catalogue.WORKER_PROCESSES,
            [((state.name.lower(),), float(states.count(state))) for state in State if state is not State.EMPTY],
        ),
        _family(
            catalogue.WORKER_RESTARTS,
            [((reason,), float(count)) for reason, count in sorted(fleet.restarts.items())],
        ),
        _family(
            catalogue.WORKER_UP,
            [((str(worker.index),), float(is_up(worker, limits))) for worker in fleet.workers],
        ),
        _family(catalogue.WORKER_HEARTBEAT_AGE, ages),
    ]


def build_family(version: str) -> Family:
    """Which asyncq on which Python."""
    return _family(catalogue.BUILD_INFO, [((version, platform.python_version()), 1.0)])


def _load(stats: QueueStats) -> int:
    return stats.ready + stats.due + stats.in_flight + stats.suspects


def _family(metric: Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    return Family(
        metric,
        tuple(Point(tuple(sorted(zip(metric.labels, labels, strict=True))), value) for labels, value in values),
    )
