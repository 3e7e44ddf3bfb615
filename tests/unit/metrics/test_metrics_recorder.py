"""The recorder: what is counted where, and that nothing a message says can grow it."""

from __future__ import annotations

import pytest

from asyncq.core.doors import Observer
from asyncq.metrics import catalogue
from asyncq.metrics.recorder import Recorder
from asyncq.metrics.segment import Segment
from asyncq.metrics.series import read_series

Shown = dict[tuple[str, ...], list[float]]


def shown(segment: Segment, slot: int = 0) -> Shown:
    """(metric, label values in the catalogue's order) -> cells."""
    found: Shown = {}
    for name, values in segment.snapshot(slot).series:
        series = read_series(name)
        assert series is not None
        labels = dict(series.labels)
        found[series.metric, *(labels[key] for key in catalogue.BY_NAME[series.metric].labels)] = list(values)
    return found


def run(recorder: Recorder, task: str, outcome: str = "succeeded", duration_s: float = 0.02, error: str = "") -> None:
    recorder.started("q")
    recorder.finished("q", task, outcome, duration_s, error)


def test_a_success_is_counted_once_in_each_of_its_series() -> None:
    segment = Segment.create(1)
    observer: Observer = Recorder(segment.region(0), ["send"])
    observer.started("q")
    assert shown(segment) == {("asyncq_tasks_in_progress", "q"): [1.0]}
    observer.finished("q", "send", "succeeded", 0.02, "")
    buckets = [0.0] * 15
    buckets[2] = 1.0  # 0.01 < 0.02 <= 0.025
    assert shown(segment) == {
        ("asyncq_tasks_in_progress", "q"): [0.0],
        ("asyncq_task_duration_seconds", "q", "send"): [*buckets, 0.02],
        ("asyncq_tasks_processed_total", "q", "send", "succeeded"): [1.0],
    }


def test_a_duration_falls_into_the_bucket_that_it_does_not_exceed() -> None:
    segment = Segment.create(1)
    recorder = Recorder(segment.region(0), ["send"])
    for duration_s in (0.0, 0.005, 0.0050001, 300.0, 301.0):
        run(recorder, "send", duration_s=duration_s)
    cells = shown(segment)["asyncq_task_duration_seconds", "q", "send"]
    assert (cells[0], cells[1], cells[13], cells[14]) == (2.0, 1.0, 1.0, 1.0)
    assert cells[15] == pytest.approx(601.0100001)


def test_every_failed_attempt_counts_its_exception_when_it_is_retried_too() -> None:
    segment = Segment.create(1)
    recorder = Recorder(segment.region(0), ["send"])
    run(recorder, "send", "retried", error="OSError")
    run(recorder, "send", "retried", error="OSError")
    run(recorder, "send", "failed", error="ValueError")
    run(recorder, "send", "cancelled")
    recorder.dead_lettered("q", "send", "exhausted")
    values = shown(segment)
    assert values["asyncq_tasks_processed_total", "q", "send", "retried"] == [2.0]
    assert values["asyncq_tasks_processed_total", "q", "send", "failed"] == [1.0]
    assert values["asyncq_tasks_processed_total", "q", "send", "cancelled"] == [1.0]
    assert values["asyncq_tasks_processed_total", "q", "send", "succeeded"] == [0.0]
    assert values["asyncq_task_exceptions_total", "q", "send", "OSError"] == [2.0]
    assert values["asyncq_task_exceptions_total", "q", "send", "ValueError"] == [1.0]
    assert values["asyncq_tasks_dead_lettered_total", "q", "send", "exhausted"] == [1.0]
    assert values["asyncq_tasks_in_progress", "q"] == [0.0]


def test_a_message_that_was_not_run_leaves_no_duration_and_no_outcome() -> None:
    segment = Segment.create(1)
    recorder = Recorder(segment.region(0), [])
    recorder.started("q")
    recorder.not_run("q")
    assert shown(segment) == {("asyncq_tasks_in_progress", "q"): [0.0]}


def test_series_stay_bounded_when_ten_thousand_names_and_error_types_are_invented() -> None:
    segment = Segment.create(1)
    recorder = Recorder(segment.region(0), ["send"])
    for number in range(10_000):
        run(recorder, f"invented {number}", f"outcome {number}", error=f"Error{number}")
        run(recorder, "send", "failed", error=f"Error{number}")
        recorder.dead_lettered("q", f"invented {number}", f"reason {number}")
    values = shown(segment)
    tasks = {key[2] for key in values if len(key) > 2}
    assert tasks == {"send", catalogue.UNKNOWN}
    exceptions = {key: cells for key, cells in values.items() if key[0] == "asyncq_task_exceptions_total"}
    assert len(exceptions) == 2 * 21
    assert sum(cells[0] for cells in exceptions.values()) == 20_000
    assert values["asyncq_task_exceptions_total", "q", "send", catalogue.OTHER] == [9_980.0]
    assert sum(cells[0] for key, cells in values.items() if key[0] == "asyncq_tasks_processed_total") == 20_000
    assert len(values) == 2 + 1 + (2 + 1 + 20 + 1) + 2 * 21 + 21
    assert segment.snapshot(0).dropped == 0
    # Nor does the process keep them.
    assert len(recorder._rows) == 2
    assert len(recorder._counters) < 100
    assert sum(map(len, recorder._admitted.values())) <= 100


def test_counters_go_on_and_running_attempts_are_forgotten_when_a_successor_takes_the_region() -> None:
    segment = Segment.create(1)
    first = Recorder(segment.region(0), ["send"])
    run(first, "send", "failed", error="OSError")
    first.started("q")
    first.started("q")
    assert shown(segment)["asyncq_tasks_in_progress", "q"] == [2.0]
    second = Recorder(segment.region(0), ["send"])
    assert shown(segment)["asyncq_tasks_in_progress", "q"] == [0.0]
    run(second, "send", "failed", error="OSError")
    values = shown(segment)
    assert values["asyncq_tasks_processed_total", "q", "send", "failed"] == [2.0]
    assert values["asyncq_task_exceptions_total", "q", "send", "OSError"] == [2.0]
    assert sum(values["asyncq_task_duration_seconds", "q", "send"][:15]) == 2.0


def test_the_cap_on_error_types_holds_when_every_process_that_dies_invents_new_ones() -> None:
    segment = Segment.create(1)
    for life in range(30):
        recorder = Recorder(segment.region(0), ["send"])
        for number in range(5):
            run(recorder, "send", "failed", error=f"Error{life}_{number}")
    types = {key[3]: cells[0] for key, cells in shown(segment).items() if key[0] == "asyncq_task_exceptions_total"}
    assert len(types) == 21
    assert types[catalogue.OTHER] == 130.0


def test_what_has_no_task_is_counted_by_queue_and_reason() -> None:
    segment = Segment.create(1)
    recorder = Recorder(segment.region(0), [])
    recorder.counted("late_settlements", "q", 3)
    recorder.counted("redelivered", "q", 2)
    recorder.counted("redelivered_lease_expired", "q", 4)
    recorder.counted("redelivered", "q", 1)
    recorder.counted("oversized", "q", 1)
    recorder.counted("late_settlements", "other", 0)
    assert shown(segment) == {
        ("asyncq_late_settlements_total", "q"): [3.0],
        ("asyncq_tasks_redelivered_total", "q", "worker_lost"): [3.0],
        ("asyncq_tasks_redelivered_total", "q", "lease_expired"): [4.0],
        ("asyncq_tasks_dead_lettered_total", "q", catalogue.UNKNOWN, "oversized"): [1.0],
    }


def test_a_count_without_a_definition_is_dropped_and_counted_as_such() -> None:
    segment = Segment.create(1)
    Recorder(segment.region(0), []).counted("no such thing", "q", 1)
    assert (shown(segment), segment.snapshot(0).dropped) == ({}, 1.0)


def test_tasks_are_still_run_and_the_rest_counted_when_the_region_is_full() -> None:
    segment = Segment.create(1, 4096)
    names = [f"task {number}" for number in range(100)]
    recorder = Recorder(segment.region(0), names)
    for name in names:
        run(recorder, name, "failed", error="OSError")
        run(recorder, name)
    values = shown(segment)
    assert values["asyncq_tasks_processed_total", "q", "task 0", "succeeded"] == [1.0]
    assert values["asyncq_tasks_in_progress", "q"] == [0.0]
    assert segment.snapshot(0).dropped > 300


def test_a_lone_surrogate_in_a_name_cannot_make_the_page_unwritable() -> None:
    segment = Segment.create(1)
    run(Recorder(segment.region(0), ["bad \ud800 name"]), "bad \ud800 name")
    assert ("asyncq_tasks_processed_total", "q", "bad ? name", "succeeded") in shown(segment)
