"""Regions of shared memory: append, find again, survive any death, stay bounded."""

from __future__ import annotations

import random

import pytest

from asyncq.core.errors import ConfigurationError
from asyncq.metrics.segment import Region, Segment

NAME_A, NAME_B, NAME_C = b"series a", b"a second series with a long name", b"c"
PAGE = 4096


class Killed(Exception):
    """Stands for SIGKILL between two stores."""


class DyingWords:
    """The cells of a region, for a writer that dies before store number `left`."""

    def __init__(self, words: memoryview, left: int) -> None:
        self.words, self.left = words, left

    def __setitem__(self, index: int, value: int) -> None:
        if not self.left:
            raise Killed
        self.left -= 1
        self.words[index] = value

    def __len__(self) -> int:
        return len(self.words)


def shown(segment: Segment, slot: int = 0) -> dict[bytes, list[float]]:
    return {name: list(values) for name, values in segment.snapshot(slot).series}


def test_a_reader_sees_each_value_under_its_name_when_two_series_were_written() -> None:
    segment = Segment.create(2, PAGE)
    region = segment.region(1)
    first, second = region.series(NAME_A, 3), region.series(NAME_B, 1)
    region.cells[first + 1] += 2.0
    region.cells[second] += 0.5
    assert shown(segment, 1) == {NAME_A: [0.0, 2.0, 0.0], NAME_B: [0.5]}
    assert shown(segment, 0) == {}


def test_a_successor_goes_on_counting_when_the_predecessor_is_gone() -> None:
    segment = Segment.create(1, PAGE)
    old = segment.region(0)
    old.cells[old.series(NAME_A, 1)] += 41.0
    new = segment.region(0)
    new.cells[new.series(NAME_A, 1)] += 1.0
    new.cells[new.series(NAME_B, 1)] += 7.0
    assert shown(segment) == {NAME_A: [42.0], NAME_B: [7.0]}
    assert new.names() == [NAME_A, NAME_B]


@pytest.mark.parametrize(("torn", "torn_cells"), [(NAME_B, 1), (NAME_C, 5), (b"\xff" * 300, 16)])
def test_a_successor_writes_over_the_tail_when_the_writer_died_before_any_store(torn: bytes, torn_cells: int) -> None:
    died = 0
    for stores in range(10_000):
        segment = Segment.create(1, PAGE)
        region = segment.region(0)
        region.cells[region.series(NAME_A, 1)] += 3.0
        region._words = DyingWords(region._words, stores)  # type: ignore[assignment]
        try:
            region.series(torn, torn_cells)
        except Killed:
            died += 1
        else:
            break
        assert shown(segment) == {NAME_A: [3.0]}
        assert_successor_works(segment, {NAME_A: [3.0]})
    assert died == len(torn) // 8 + (len(torn) % 8 > 0) + torn_cells + 2  # name, zeros, next header, header
    assert shown(segment) == {NAME_A: [3.0], torn: [0.0] * torn_cells}


def test_nothing_is_misread_when_any_prefix_of_the_record_or_of_its_header_was_written() -> None:
    whole = Segment.create(1, PAGE)
    before = whole.region(0)
    before.cells[before.series(NAME_A, 1)] += 3.0
    start = before._end * 8
    before.series(NAME_B, 2)
    image = bytes(whole._octets)
    end = before._end * 8
    header = range(start, start + 8)
    # First the body byte by byte with no header, then the whole body with 0 to 7 bytes of the header, both ends first.
    states = [[*range(start + 8, cut)] for cut in range(start + 8, end + 1)]
    states += [[*range(start + 8, end), *list(header)[:n]] for n in range(8)]
    states += [[*range(start + 8, end), *list(header)[8 - n :]] for n in range(8)]
    for written in states:
        segment = Segment.create(1, PAGE)
        segment._octets[:start] = image[:start]
        for at in written:
            segment._octets[at] = image[at]
        assert shown(segment) == {NAME_A: [3.0]}, written
        assert_successor_works(segment, {NAME_A: [3.0]})
    assert shown(whole) == {NAME_A: [3.0], NAME_B: [0.0, 0.0]}


def test_nothing_is_misread_when_a_torn_tail_holds_any_bytes() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(300):
        segment = Segment.create(1, PAGE)
        region = segment.region(0)
        region.cells[region.series(NAME_A, 1)] += 3.0
        start = region._end * 8
        segment._octets[start:PAGE] = rng.randbytes(PAGE - start)
        assert shown(segment) == {NAME_A: [3.0]}
        assert_successor_works(segment, {NAME_A: [3.0]})


def assert_successor_works(segment: Segment, expected: dict[bytes, list[float]]) -> None:
    """A successor appends two short records over the tail: nothing of the tail shines through between or after."""
    successor = segment.region(0)
    for name in (NAME_C, b"later"):
        successor.cells[successor.series(name, 1)] += 1.0
        expected = {**expected, name: [1.0]}
        assert shown(segment) == expected
    assert segment.region(0).names() == list(expected)


def test_new_series_are_dropped_and_counted_when_the_region_is_full() -> None:
    segment = Segment.create(2, PAGE)
    neighbour = segment.region(1)
    neighbour.cells[neighbour.series(NAME_A, 1)] += 1.0
    region = segment.region(0)
    for number in range(1_000):
        first = region.series(b"series %03d" % number, 16)
        for cell in range(first, first + 16):
            region.cells[cell] += 1.0
    snapshot = segment.snapshot(0)
    kept = len(snapshot.series)
    assert kept == (PAGE // 8 - 64) // (1 + 16 + 2)
    assert snapshot.dropped == 1_000 - kept
    assert all(list(values) == [1.0] * 16 for _, values in snapshot.series)
    assert shown(segment, 1) == {NAME_A: [1.0]}
    assert segment.snapshot(1).dropped == 0


def test_a_record_fits_to_the_last_cell_when_the_region_is_otherwise_full() -> None:
    segment = Segment.create(1, PAGE)
    region = segment.region(0)
    room = PAGE // 8 - 64
    assert region.series(b"x" * (room - 2) * 8, 1) != 1
    assert len(segment.snapshot(0).series) == 1
    assert region.series(b"y", 1) == 1
    assert (segment.snapshot(0).dropped, segment.region(0)._end) == (1.0, PAGE // 8)


@pytest.mark.parametrize(("name", "count"), [(b"", 1), (b"x", 0), (b"x", 64), (b"x" * 70_000, 1)])
def test_a_series_is_dropped_when_its_name_or_size_cannot_be_recorded(name: bytes, count: int) -> None:
    segment = Segment.create(1, 262_144)
    segment.region(0).series(name, count)
    assert (shown(segment), segment.snapshot(0).dropped) == ({}, 1.0)


def test_a_series_is_dropped_when_it_exists_with_another_number_of_cells() -> None:
    segment = Segment.create(1, PAGE)
    region = segment.region(0)
    region.cells[region.series(NAME_A, 2)] += 1.0
    region.cells[region.series(NAME_A, 3)] += 9.0
    assert (shown(segment), segment.snapshot(0).dropped) == ({NAME_A: [1.0, 0.0]}, 1.0)


@pytest.mark.parametrize(("slots", "region_bytes"), [(0, PAGE), (1, 0), (1, 4095), (1, PAGE + 8)])
def test_creation_is_refused_when_the_sizes_make_no_sense(slots: int, region_bytes: int) -> None:
    with pytest.raises(ConfigurationError, match="metrics segment: expected"):
        Segment.create(slots, region_bytes)


@pytest.mark.parametrize("slot", [-1, 2])
def test_a_region_is_refused_when_there_is_no_such_slot(slot: int) -> None:
    with pytest.raises(IndexError, match="expected a slot from 0 to 1"):
        Segment.create(2, PAGE).region(slot)


def test_a_region_works_on_any_eight_byte_aligned_memory() -> None:
    region = Region(memoryview(bytearray(PAGE)))
    region.cells[region.series(NAME_A, 1)] += 1.0
    assert region.names() == [NAME_A]
