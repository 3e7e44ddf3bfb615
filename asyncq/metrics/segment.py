"""Shared memory for numbers: one region per slot, one writer per region, any number of readers.

Made by the roof before the first fork; a worker (or the keeper) opens its own region after it, the admin
process reads all of them. A region outlives the process that wrote it, so its counters never go backwards.
A region is an array of 8-byte cells: a counter of dropped series, some cells that nobody reads, then records

    header | values ... | name, padded to 8 bytes      header = crc32 << 32 | name length << 16 | cell count

The header is one store and is written last: until then the record does not exist. Readers stop at the first
header that does not fit; a successor writes over it. Values and headers are touched through 8-byte casts
only, each one load or store of the processor: slices of bytes and struct.pack_into tear.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zlib import crc32

from asyncq.core.errors import ConfigurationError

if TYPE_CHECKING:
    Cells = memoryview[float]

REGION_BYTES: Final = 262_144

_DROPPED: Final = 0
_SINK: Final = 1
_SINK_CELLS: Final = 63
_FIRST_RECORD: Final = _SINK + _SINK_CELLS
_MAX_NAME_BYTES: Final = 0xFFFF
_PAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class RegionSnapshot:
    """What one region said at one moment.

    Attributes:
        slot: Whose region.
        series: (name, values) of every record.
        dropped: How many new series found no room.
    """

    slot: int
    series: tuple[tuple[bytes, Sequence[float]], ...]
    dropped: float


def _header(name: bytes, count: int) -> int:
    shape = len(name) << 16 | count
    # The shape is part of the checksum, so no bit of a header goes unchecked.
    return crc32(name, shape) << 32 | shape


def _span(header: int) -> tuple[int, int, int]:
    """(cells of values, bytes of name, cells of the whole record) that a header claims."""
    count, length = header & 0xFFFF, header >> 16 & 0xFFFF
    return count, length, 1 + count + (length + 7) // 8


def _records(octets: memoryview) -> Iterator[tuple[int, int, bytes]]:
    """(header cell, cell count, name) of each published record, up to the first thing that is not one."""
    words = octets.cast("Q")
    at = _FIRST_RECORD
    while at < len(words):
        header = words[at]
        count, length, span = _span(header)
        if not length or at + span > len(words):
            return
        start = (at + 1 + count) * 8
        name = octets[start : start + length].tobytes()
        if _header(name, count) != header:
            return
        yield at, count, name
        at += span


class Region:
    """The writer's side of one region: find or append a series, then add to its cells.

    Only one live process, and in it only one thread, may hold a Region of a slot. Opening it finds what
    predecessors counted; what a predecessor left half-written is written over.

    Attributes:
        cells: The region as floats; `cells[region.series(name, 1)] += 1.0` counts.
    """

    __slots__ = ("_end", "_known", "_words", "cells")

    def __init__(self, octets: memoryview) -> None:
        self.cells: Cells = octets.cast("d")
        self._words = octets.cast("Q")
        self._known: dict[bytes, tuple[int, int]] = {}
        self._end = _FIRST_RECORD
        for at, count, name in _records(octets):
            self._known[name] = (at + 1, count)
            self._end = at + _span(self._words[at])[2]

    def names(self) -> list[bytes]:
        """The series of this region, in the order in which they were appended."""
        return list(self._known)

    def series(self, name: bytes, count: int) -> int:
        """The index of the first of the `count` cells of a series; appended with zeros when it is new.

        A series that finds no room is counted as dropped and gets cells that nobody reads, so that the caller
        need not tell the difference.
        """
        first, held = self._known.get(name, (0, 0))
        if held == count and held:
            return first
        if held or not self._fits(name, count):
            self.drop()
            return _SINK
        return self._append(name, count)

    def drop(self) -> None:
        """Count one series that will not be shown."""
        self.cells[_DROPPED] += 1.0

    def _fits(self, name: bytes, count: int) -> bool:
        span = _span(len(name) << 16 | count)[2]
        return 0 < len(name) <= _MAX_NAME_BYTES and 0 < count <= _SINK_CELLS and self._end + span <= len(self._words)

    def _append(self, name: bytes, count: int) -> int:
        words, at = self._words, self._end
        first = at + 1
        named = memoryview(name + bytes(-len(name) % 8)).cast("Q")
        end = first + count + len(named)
        for index, word in enumerate(named, first + count):
            words[index] = word
        for index in range(first, first + count):
            words[index] = 0
        if end < len(words):
            words[end] = 0  # a predecessor's torn record may have been longer than this one
        words[at] = _header(name, count)
        self._known[name] = (first, count)
        self._end = end
        return first


class Segment:
    """All regions. Make it before the first fork; the memory goes when the last process that has it ends."""

    __slots__ = ("_octets", "region_bytes", "slots")

    def __init__(self, octets: memoryview, slots: int, region_bytes: int) -> None:
        self._octets = octets
        self.slots = slots
        self.region_bytes = region_bytes

    @classmethod
    def create(cls, slots: int, region_bytes: int = REGION_BYTES) -> Segment:
        """Map anonymous shared memory; untouched pages cost nothing.

        Args:
            slots: Number of regions: one for each process that counts.
            region_bytes: Size of each; default 256 KiB, about 800 histograms.

        Raises:
            ConfigurationError: no slots, or a region that is not a positive multiple of 4096 bytes.
        """
        if slots < 1:
            raise ConfigurationError(f"metrics segment: expected 1 or more slots, found {slots}")
        if region_bytes < _PAGE_BYTES or region_bytes % _PAGE_BYTES:
            raise ConfigurationError(
                f"metrics segment: expected region_bytes as a multiple of {_PAGE_BYTES}, found {region_bytes}"
            )
        return cls(memoryview(mmap.mmap(-1, slots * region_bytes)), slots, region_bytes)

    def region(self, slot: int) -> Region:
        """Open a region for writing; its previous writer must have ended."""
        return Region(self._region(slot))

    def snapshot(self, slot: int) -> RegionSnapshot:
        """Read a region, whoever writes it meanwhile. Each value is one that it really had."""
        octets = self._region(slot)
        cells: Cells = octets.cast("d")
        series = tuple((name, cells[at + 1 : at + 1 + count].tolist()) for at, count, name in _records(octets))
        return RegionSnapshot(slot, series, cells[_DROPPED])

    def snapshots(self) -> list[RegionSnapshot]:
        """Read every region."""
        return [self.snapshot(slot) for slot in range(self.slots)]

    def _region(self, slot: int) -> memoryview:
        if not 0 <= slot < self.slots:
            raise IndexError(f"metrics segment: expected a slot from 0 to {self.slots - 1}, found {slot}")
        return self._octets[slot * self.region_bytes : (slot + 1) * self.region_bytes]
