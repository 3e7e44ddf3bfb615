"""Sums over regions: living and dead, old code and new."""

from __future__ import annotations

from collections.abc import Sequence

from asyncq.metrics import catalogue
from asyncq.metrics.aggregate import Distribution, Family, Point, aggregate
from asyncq.metrics.exposition import render
from asyncq.metrics.recorder import Recorder
from asyncq.metrics.segment import RegionSnapshot, Segment
from asyncq.metrics.series import Metric

IN_PROGRESS = catalogue.TASKS_IN_PROGRESS
PROCESSED = catalogue.TASKS_PROCESSED


def snapshot(slot: int, *series: tuple[bytes, Sequence[float]], dropped: float = 0.0) -> RegionSnapshot:
    return RegionSnapshot(slot, series, dropped)


def family(name: str, families: list[Family]) -> Family:
    (found,) = [each for each in families if each.metric.name == name]
    return found


def histogram(*bounds: float) -> Metric:
    return Metric(name="asyncq_test_seconds", kind="histogram", help="", labels=("queue",), bounds=bounds)


def test_counters_are_summed_over_all_slots_and_gauges_over_living_ones() -> None:
    rows = [
        snapshot(slot, (PROCESSED.series("q", "t", "succeeded"), [value]), (IN_PROGRESS.series("q"), [value]))
        for slot, value in enumerate((1.0, 10.0, 100.0))
    ]
    families = aggregate(rows, live_slots={0, 2})
    labels = (("outcome", "succeeded"), ("queue", "q"), ("task", "t"))
    assert family("asyncq_tasks_processed_total", families).points == (Point(labels, 111.0),)
    assert family("asyncq_tasks_in_progress", families).points == (Point((("queue", "q"),), 101.0),)


def test_histograms_are_summed_bucket_by_bucket_and_shown_cumulatively() -> None:
    name = histogram(1.0, 2.0).series("q")
    families = aggregate([snapshot(0, (name, [1, 2, 3, 10.5])), snapshot(1, (name, [10, 0, 0, 5.0]))], {0})
    assert family("asyncq_test_seconds", families).distributions == (
        Distribution((("queue", "q"),), (1.0, 2.0), (11, 13, 16), 15.5),
    )


def test_only_common_bounds_are_shown_when_old_and_new_code_counted_with_different_buckets() -> None:
    old = (histogram(1.0, 2.0, 5.0).series("q"), [1, 1, 1, 1, 10.0])
    new = (histogram(2.0, 3.0, 5.0).series("q"), [10, 10, 10, 10, 100.0])
    expected = Distribution((("queue", "q"),), (2.0, 5.0), (12, 33, 44), 110.0)
    for rows in ((old, new), (new, old)):
        assert family("asyncq_test_seconds", aggregate([snapshot(0, *rows)], {0})).distributions == (expected,)


def test_the_same_labels_make_one_point_when_two_versions_wrote_them_in_another_order() -> None:
    turned = Metric(name=IN_PROGRESS.name, kind="gauge", help="", labels=("b", "a"))
    straight = Metric(name=IN_PROGRESS.name, kind="gauge", help="", labels=("a", "b"))
    rows = snapshot(0, (turned.series("2", "1"), [5.0]), (straight.series("1", "2"), [6.0]))
    assert family(IN_PROGRESS.name, aggregate([rows], {0})).points == (Point((("a", "1"), ("b", "2")), 11.0),)


def test_what_cannot_be_read_or_added_is_left_out() -> None:
    other_kind = Metric(name=PROCESSED.name, kind="gauge", help="")
    good = PROCESSED.series("q", "t", "succeeded")
    rows = snapshot(
        0,
        (b"no json", [1.0]),
        (b'["name only"]', [1.0]),
        (b'["m","summary",[],[]]', [1.0]),
        (other_kind.series(), [7.0]),
        (good, [2.0]),
        (PROCESSED.series("q", "t", "failed"), [1.0, 2.0]),
    )
    families = aggregate([rows], {0})
    assert [each.metric.name for each in families] == [PROCESSED.name, "asyncq_metrics_dropped_series_total"]
    assert [point.value for point in families[0].points] == [2.0]


def test_a_metric_of_another_version_is_shown_after_the_known_ones() -> None:
    newer = Metric(name="asyncq_a_newer_total", kind="counter", help="not known here", labels=("queue",))
    families = aggregate([snapshot(0, (newer.series("q"), [4.0]), (IN_PROGRESS.series("q"), [1.0]))], {0})
    assert [each.metric.name for each in families] == [
        "asyncq_tasks_in_progress",
        "asyncq_metrics_dropped_series_total",
        "asyncq_a_newer_total",
    ]


def test_dropped_series_are_summed_and_shown_when_there_are_none() -> None:
    assert aggregate([], ())[0].points == (Point((), 0.0),)
    families = aggregate([snapshot(0, dropped=2.0), snapshot(1, dropped=3.0)], ())
    assert family("asyncq_metrics_dropped_series_total", families).points == (Point((), 5.0),)


def test_a_page_does_not_grow_with_slots_or_deaths_when_the_tasks_are_the_same() -> None:
    names = [f"task {number}" for number in range(100)]
    segment = Segment.create(16)

    def live_once(slot: int) -> None:
        recorder = Recorder(segment.region(slot), names)
        for name in names:
            recorder.started("q")
            recorder.finished("q", name, "succeeded", 0.1, "")

    def page() -> tuple[int, float]:
        """(lines, successes) of the page."""
        families = aggregate(segment.snapshots(), range(16))
        total = sum(point.value for point in family(PROCESSED.name, families).points)
        return render(families, "")[0].count(b"\n"), total

    live_once(0)
    lines = page()[0]
    for slot in range(1, 16):
        live_once(slot)
    regions = [len(each.series) for each in segment.snapshots()]
    assert page() == (lines, 1_600.0)
    for _ in range(10):
        live_once(3)
    assert page() == (lines, 2_600.0)
    assert [len(each.series) for each in segment.snapshots()] == regions == [201] * 16
