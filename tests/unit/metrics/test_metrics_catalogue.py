"""The catalogue keeps Prometheus' rules of naming."""

from __future__ import annotations

import re

import pytest

from asyncq.metrics import catalogue
from asyncq.metrics.series import MAX_LABEL_CHARS, Metric, Series, read_series


@pytest.mark.parametrize("metric", catalogue.METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_by_the_rules(metric: Metric) -> None:
    assert re.fullmatch(r"asyncq_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith("_info") == (metric.kind == "info")
    assert not metric.unit or metric.name.endswith(f"_{metric.unit}")
    assert metric.help.endswith(".")
    assert list(metric.bounds) == sorted(set(metric.bounds))
    assert bool(metric.bounds) == (metric.kind == "histogram")
    assert len(set(metric.labels)) == len(metric.labels)


def test_names_are_unique_and_each_definition_is_listed() -> None:
    defined = [value for value in vars(catalogue).values() if isinstance(value, Metric)]
    assert sorted(catalogue.BY_NAME) == sorted(metric.name for metric in defined)
    assert len(catalogue.METRICS) == len(defined)


def test_the_duration_has_fourteen_buckets_from_5_ms_to_300_s() -> None:
    bounds = catalogue.TASK_DURATION.bounds
    assert (len(bounds), bounds[0], bounds[-1]) == (14, 0.005, 300.0)


def test_a_series_name_reads_back() -> None:
    name = catalogue.TASK_DURATION.series("q é", "t")
    assert read_series(name) == Series(
        "asyncq_task_duration_seconds", "histogram", (("queue", "q é"), ("task", "t")), catalogue.TASK_DURATION.bounds
    )


def test_a_label_value_is_cut_when_it_is_long() -> None:
    series = read_series(catalogue.TASKS_IN_PROGRESS.series("x" * 10_000))
    assert series is not None
    assert series.labels == (("queue", "x" * MAX_LABEL_CHARS),)


def test_what_counted_accepts_fits_its_metric() -> None:
    for metric, values in catalogue.COUNTED.values():
        assert metric.kind == "counter"
        assert len(metric.labels) == 1 + len(values)
