"""Metrics, and the bytes by which a region of shared memory names one series of them.

A name carries all that is needed to sum and show the series (metric, kind, labels, bucket bounds), so a
reader needs no table that must match the writer's code: after a reload, old and new code count side by side.
Used by the catalogue (definitions), the recorder (writes names) and the aggregate (reads them). Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram", "info"]
Labels = tuple[tuple[str, str], ...]

MAX_LABEL_CHARS: Final = 256
_KINDS: Final = ("counter", "gauge", "histogram", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of the catalogue.

    Attributes:
        name: As it is shown; a counter's ends in `_total`, an info's in `_info`.
        kind: What it is, and so how processes are combined.
        help: One sentence for people.
        labels: Label names, in the order in which `series` takes the values.
        unit: Base unit, the end of the name; "" for plain counts.
        bounds: Upper bucket bounds of a histogram, ascending, without +Inf.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    bounds: tuple[float, ...] = ()

    def series(self, *values: str) -> bytes:
        """The name of the series with these label values (each cut to MAX_LABEL_CHARS)."""
        labels = [[key, value[:MAX_LABEL_CHARS]] for key, value in zip(self.labels, values, strict=True)]
        whole = [self.name, self.kind, labels, self.bounds]
        text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
        # A lone surrogate in a name would make every later page unwritable.
        return text.encode("utf-8", "replace")

    @property
    def cell_count(self) -> int:
        """8-byte cells of one series: a histogram has its buckets, one above the last bound, and the sum."""
        return cell_count(self.kind, len(self.bounds))


@dataclass(frozen=True, slots=True)
class Series:
    """A series name, read back. Labels are sorted by key."""

    metric: str
    kind: Kind
    labels: Labels
    bounds: tuple[float, ...]

    @property
    def cell_count(self) -> int:
        return cell_count(self.kind, len(self.bounds))


def cell_count(kind: Kind, bounds: int) -> int:
    """8-byte cells of one series of this kind."""
    return bounds + 2 if kind == "histogram" else 1


@lru_cache(maxsize=16_384)
def read_series(name: bytes) -> Series | None:
    """Read a series name; None when it is not one that this version understands."""
    try:
        metric, kind, labels, bounds = json.loads(name)
        pairs = tuple(sorted((str(key), str(value)) for key, value in labels))
        upper = tuple(float(bound) for bound in bounds)
    except (ValueError, TypeError):
        return None
    if not isinstance(metric, str) or kind not in _KINDS:
        return None
    return Series(metric, kind, pairs, upper)
