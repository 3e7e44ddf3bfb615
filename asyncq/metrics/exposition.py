"""Families to text: the Prometheus format, or OpenMetrics where the scraper asks for it.

Called by the admin process only; the only module that imports prometheus_client. Adds no number of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import Metric as Shown
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from asyncq.metrics.aggregate import Distribution, Family
from asyncq.metrics.series import Metric


@dataclass(frozen=True, slots=True, eq=False)
class FamilyCollector:
    """A prometheus_client collector over given families; may be registered beside a program's own metrics."""

    families: Sequence[Family]

    def collect(self) -> Iterator[Shown]:
        return map(_shown, self.families)


def render(families: Sequence[Family], accept: str) -> tuple[bytes, str]:
    """One page: (body, content type).

    Args:
        families: What to show, in this order; no metric twice.
        accept: The request's Accept header, "" when it has none; what cannot be read counts as none.
    """
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # what prometheus_client raises for a version that is no version
        encode, content_type = choose_encoder("")
    return encode(FamilyCollector(families)), content_type


def _base_name(metric: Metric) -> str:
    """The family's name: prometheus_client itself adds `_total` and `_info`."""
    return metric.name.removesuffix({"counter": "_total", "info": "_info"}.get(metric.kind, ""))


def _shown(family: Family) -> Shown:
    metric = family.metric
    shown = Shown(_base_name(metric), metric.help, metric.kind, metric.unit)
    for point in family.points:
        shown.add_sample(metric.name, dict(point.labels), point.value)
    for distribution in family.distributions:
        for name, labels, value in _histogram_lines(metric.name, distribution):
            shown.add_sample(name, labels, value)
    return shown


def _histogram_lines(name: str, one: Distribution) -> Iterable[tuple[str, dict[str, str], float]]:
    labels = dict(one.labels)
    for bound, count in zip((*one.bounds, float("inf")), one.counts, strict=True):
        yield f"{name}_bucket", {**labels, "le": _le(bound)}, count
    yield f"{name}_count", labels, one.counts[-1]
    yield f"{name}_sum", labels, one.sum


def _le(bound: float) -> str:
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call] # prometheus_client leaves it untyped
