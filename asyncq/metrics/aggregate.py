"""Sums the regions of all processes into the families of one page. Pure.

Called by the admin process at each scrape. Counters and histograms are summed over every region, also of
processes long dead; gauges only over those that live. Knows nothing of how the page is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import add

from asyncq.metrics import catalogue
from asyncq.metrics.segment import RegionSnapshot
from asyncq.metrics.series import Labels, Metric, Series, read_series


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a counter, gauge or info."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """One histogram: `counts[i]` observations were <= `bounds[i]`, the last count is all of them."""

    labels: Labels
    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    sum: float


@dataclass(frozen=True, slots=True)
class Family:
    """One metric and everything known of it; `points` for all kinds but histograms."""

    metric: Metric
    points: tuple[Point, ...] = ()
    distributions: tuple[Distribution, ...] = ()


def aggregate(snapshots: Sequence[RegionSnapshot], live_slots: Collection[int]) -> list[Family]:
    """Sum regions, in the order of the catalogue, then what another version counted, by name.

    Args:
        snapshots: One per region.
        live_slots: Slots whose process lives: only their gauges count.
    """
    by_metric: dict[str, list[tuple[Series, Sequence[float]]]] = {}
    for series, values in _summed(snapshots, live_slots):
        by_metric.setdefault(series.metric, []).append((series, values))
    families = [_family(_definition(rows[0][0]), rows) for rows in by_metric.values()]
    families.append(Family(catalogue.DROPPED_SERIES, (Point((), sum(each.dropped for each in snapshots)),)))
    return sorted(families, key=_order)


def _summed(
    snapshots: Iterable[RegionSnapshot], live_slots: Collection[int]
) -> Iterable[tuple[Series, Sequence[float]]]:
    """Equal names added up cell by cell."""
    sums: dict[bytes, tuple[Series, Sequence[float]]] = {}
    for snapshot in snapshots:
        live = snapshot.slot in live_slots
        for name, values in snapshot.series:
            held = sums.get(name)
            series = held[0] if held else read_series(name)
            if series is None or len(values) != series.cell_count or (series.kind == "gauge" and not live):
                continue
            sums[name] = (series, list(map(add, held[1], values)) if held else values)
    return sums.values()


def _definition(series: Series) -> Metric:
    return catalogue.BY_NAME.get(series.metric) or catalogue.of_another_version(series.metric, series.kind)


def _family(metric: Metric, rows: Iterable[tuple[Series, Sequence[float]]]) -> Family:
    """One family; rows of another kind than the metric's come from other code and cannot be added."""
    fitting = [(series, values) for series, values in rows if series.kind == metric.kind]
    if metric.kind == "histogram":
        distributions: dict[Labels, Distribution] = {}
        for series, values in fitting:
            new = _distribution(series, values)
            held = distributions.get(series.labels)
            distributions[series.labels] = _merged(held, new) if held else new
        return Family(metric, distributions=tuple(distributions[labels] for labels in sorted(distributions)))
    points: dict[Labels, float] = {}
    for series, values in fitting:
        points[series.labels] = points.get(series.labels, 0.0) + values[0]
    return Family(metric, tuple(Point(labels, points[labels]) for labels in sorted(points)))


def _distribution(series: Series, values: Sequence[float]) -> Distribution:
    return Distribution(series.labels, series.bounds, tuple(accumulate(values[:-1])), values[-1])


def _merged(one: Distribution, two: Distribution) -> Distribution:
    """The same series counted with two sets of buckets (before and after a reload).

    Cumulative counts are exact at the bounds both have, and only there.
    """
    first = dict(zip(one.bounds, one.counts, strict=False))
    second = dict(zip(two.bounds, two.counts, strict=False))
    bounds = tuple(bound for bound in one.bounds if bound in second)
    counts = [first[bound] + second[bound] for bound in bounds]
    return Distribution(one.labels, bounds, (*counts, one.counts[-1] + two.counts[-1]), one.sum + two.sum)


def _order(family: Family) -> tuple[int, str]:
    known = family.metric in catalogue.METRICS
    return (catalogue.METRICS.index(family.metric) if known else len(catalogue.METRICS), family.metric.name)
