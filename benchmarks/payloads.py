"""What checking a payload costs a worker: msgspec and pydantic behind the same door, beside plain Python code.

One payload of an order with three lines, already decoded. All readers take turns in one process, so that the ratios
hold where the figures do not.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypedDict

import msgspec
import pydantic

from asyncq.core.payload import reader_of

PAYLOAD: Final = {
    "order_id": "a-17",
    "email": "ada@example.com",
    "total": 12.5,
    "lines": [{"sku": f"s{number}", "count": number} for number in range(3)],
}


@dataclass
class DataLine:
    sku: str
    count: int


@dataclass
class DataOrder:
    order_id: str
    email: str
    total: float
    lines: list[DataLine]


class RowLine(TypedDict):
    sku: str
    count: int


class RowOrder(TypedDict):
    order_id: str
    email: str
    total: float
    lines: list[RowLine]


class StructLine(msgspec.Struct):
    sku: str
    count: int


class StructOrder(msgspec.Struct):
    order_id: str
    email: str
    total: float
    lines: list[StructLine]


class ModelLine(pydantic.BaseModel):
    sku: str
    count: int


class ModelOrder(pydantic.BaseModel):
    order_id: str
    email: str
    total: float
    lines: list[ModelLine]


def by_hand(payload: Any) -> DataOrder:
    """What somebody would write without a library, for these two classes only."""
    lines = [
        DataLine(_expect(line["sku"], str), _expect(line["count"], int)) for line in _expect(payload["lines"], list)
    ]
    return DataOrder(
        _expect(payload["order_id"], str), _expect(payload["email"], str), _expect(payload["total"], float), lines
    )


def _expect(value: Any, kind: type[Any]) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind}, found {value!r}")
    return value


def _readers() -> dict[str, Callable[[Any], Any]]:
    readers: dict[str, Callable[[Any], Any]] = {"by hand": by_hand}
    for annotation in (DataOrder, RowOrder, StructOrder, ModelOrder):

        def handler(payload: Any) -> None: ...

        handler.__annotations__["payload"] = annotation
        reader = reader_of(handler, "bench")
        assert reader is not None
        readers[annotation.__name__] = reader
    return readers


def main(calls: int, runs: int) -> None:
    """Measure in turns; prints one JSON line per reader, and what importing the libraries costs."""
    readers = _readers()
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(runs):
        for name, read in readers.items():
            times[name].append(timeit.timeit(lambda read=read: read(PAYLOAD), number=calls) / calls * 1e6)  # type: ignore[misc]
    base = statistics.median(times["by hand"])
    for name, each in times.items():
        figures = {"us": round(statistics.median(each), 2), "min": round(min(each), 2), "max": round(max(each), 2)}
        print(json.dumps({"scenario": "payloads", "reader": name, **figures, "ratio": round(figures["us"] / base, 2)}))
    for library in ("msgspec", "pydantic"):
        print(json.dumps({"scenario": "payloads", "import": library, "ms": round(_import_ms(library, runs), 1)}))


def _import_ms(library: str, runs: int) -> float:
    program = f"import time; began = time.perf_counter(); import {library}; print(time.perf_counter() - began)"
    seconds = [float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(runs)]
    return statistics.median(seconds) * 1000
