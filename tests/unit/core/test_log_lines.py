"""Lines that a pipe takes whole, and a handler that nobody has to be afraid of."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.core.log_lines import (
    MAX_LINE_BYTES,
    MAX_PARTS,
    LineHandler,
    cut,
    json_line,
    json_parts,
    json_size,
    put,
    utf8_size,
    without_middle,
)
from asyncq.core.logs import JsonFormatter, TextFormatter

# Of every size that a sign can have: plain, escaped, two, six and twelve bytes, and one that is no character.
SIGNS = 'a"\\\n\x1bü€😀\udc80'
SHORT = {"ts": 1.5, "level": "info", "process": "worker[0]", "event": "child died", "id": "7"}


def record(**fields: object) -> logging.LogRecord:
    made = logging.LogRecord("asyncq.worker", logging.INFO, __file__, 1, "task failed", (), None)
    made.created = 1.5  # of one length
    made.__dict__.update(fields)
    return made


def together(parts: list[str], key: str) -> str:
    return "".join(json.loads(part).get(key, "") for part in parts)


@given(text=st.text(SIGNS, max_size=300), limit=st.integers(12, 90), size=st.sampled_from((json_size, utf8_size)))
def test_pieces_are_no_larger_than_the_limit_and_together_the_text(text, limit, size) -> None:
    pieces = cut(text, limit, size)
    assert "".join(pieces) == text
    assert all(0 < size(piece) <= limit for piece in pieces)


def test_a_piece_ends_with_a_line_if_one_ends_near_its_end() -> None:
    assert cut("a" * 85 + "\n" + "b" * 20, 90, utf8_size) == ["a" * 85 + "\n", "b" * 20]
    assert cut("a\n" + "b" * 100, 90, utf8_size) == ["a\n" + "b" * 88, "b" * 12]


@given(
    seeds=st.dictionaries(
        st.sampled_from(("stack", "error", "traceback")), st.text(SIGNS, min_size=100, max_size=120), min_size=1
    )
)
def test_every_part_is_legal_repeats_what_is_short_and_together_they_are_the_record(seeds: dict[str, str]) -> None:
    texts = {key: seed * 40 for key, seed in seeds.items()}
    parts = json_parts(SHORT | texts)
    found = [json.loads(part) for part in parts]
    assert [(part["part"], part["parts"]) for part in found] == [(n, len(parts)) for n in range(1, len(parts) + 1)]
    assert all(part | SHORT == part for part in found)
    assert all(len(part) < MAX_LINE_BYTES for part in parts)
    assert {key: together(parts, key) for key in texts} == texts


@pytest.mark.parametrize(
    "fields",
    [
        {f"f{n}": "x" * 150 for n in range(60)},
        {"event": "😀" * 5000},
        {"k" * 5000: 1, "more": "x" * 5000},
        {"last_lines": ["x" * 300] * 20, "info": {"a": {"b": "y" * 5000}}},
        {"thing": type("Long", (), {"__str__": lambda self: "z" * 9000})()},
    ],
)
def test_whatever_is_long_no_part_is(fields: dict[str, object]) -> None:
    parts = json_parts(SHORT | fields)
    assert len(parts) > 1
    assert all(len(part) < MAX_LINE_BYTES and json.loads(part) for part in parts)


def test_a_long_value_that_is_no_text_is_cut_as_its_json() -> None:
    lines = ["x" * 300] * 20
    assert json.loads(together(json_parts({"last_lines": lines}), "last_lines")) == lines


def test_a_record_without_end_loses_its_middle() -> None:
    parts = json_parts(SHORT | {"error": "begin" + "x" * 10_000_000 + "end"})
    text = together(parts, "error")
    assert MAX_PARTS - 5 <= len(parts) <= MAX_PARTS + 1
    assert (text[:6], text[-4:]) == ("beginx", "xend")
    assert " characters left out ... " in text
    assert without_middle("abcdefghij", 4, len) == "ab ... 6 characters left out ... ij"


@pytest.mark.parametrize("size", [3000, 5000, 20_000, 2_000_000])
def test_a_long_text_line_says_which_part_it_is(size: int) -> None:
    parts = TextFormatter("worker[0]").parts(record(error="ü " * size))
    heads = [part.split(" ", 5) for part in parts]
    assert [head[1:4] for head in heads] == [
        ["INFO", "worker[0]", f"({n}/{len(parts)})"] for n in range(1, len(parts) + 1)
    ]
    assert heads[0][4:] == ["task", 'failed error="' + heads[0][5][14:]]
    assert all(utf8_size(part) < MAX_LINE_BYTES for part in parts)


# -- the handler


class Pipe:
    """A pipe with a handler at one end."""

    def __init__(self, *, blocking: bool = True) -> None:
        self.reading, writing = os.pipe()
        os.set_blocking(writing, blocking)
        self.stream = os.fdopen(writing, "w", encoding="utf-8")
        self.handler = LineHandler(self.stream, JsonFormatter("w"))

    def say(self, **fields: object) -> None:
        self.handler.handle(record(**fields))

    def lines(self) -> list[dict[str, object]]:
        """What can be read now."""
        os.set_blocking(self.reading, False)
        raw = b""
        try:
            while more := os.read(self.reading, 65536):
                raw += more
        except BlockingIOError:
            pass
        return [json.loads(line) for line in raw.splitlines()]

    def close(self) -> None:
        os.close(self.reading)
        self.stream.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def full_pipe() -> Iterator[Pipe]:
    """It does not block, and nobody has read it for a while."""
    made = Pipe(blocking=False)
    while not made.handler._lost:
        made.say(n=1)
    yield made
    made.close()


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all writes to descriptors."""
    sizes: list[int] = []
    real = os.write

    def write(fd: int, raw: bytes) -> int:
        sizes.append(len(raw))
        return real(fd, raw)

    monkeypatch.setattr(os, "write", write)
    return sizes


def test_a_record_is_one_write_and_a_long_one_several_of_at_most_4096_bytes(pipe: Pipe, writes: list[int]) -> None:
    pipe.say(error="no")
    assert len(writes) == 1
    pipe.say(error="x" * 20_000)
    found = pipe.lines()
    assert len(writes) == len(found) == 7
    assert max(writes) <= 4096
    assert "".join(str(line["error"]) for line in found[1:]) == "x" * 20_000


def test_the_longest_record_that_fits_is_not_cut(pipe: Pipe, writes: list[int]) -> None:
    pipe.say(error="")
    pipe.say(error="x" * (4096 - writes[0]))
    assert (writes[1:], len(pipe.lines())) == ([4096], 2)


def test_a_full_pipe_that_does_not_block_costs_records_and_says_how_many(full_pipe: Pipe) -> None:
    for _ in range(4):
        full_pipe.say(n=2)
    assert {line["n"] for line in full_pipe.lines()} == {1}
    full_pipe.say(n=3)
    told, line = full_pipe.lines()
    assert (told["event"], told["lost"], told["level"]) == ("log lines lost", 5, "warning")
    assert line["n"] == 3


def test_who_reads_slowly_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, tries = Pipe(blocking=False), []
    real = os.write

    def write(fd: int, raw: bytes) -> int:
        tries.append(raw)
        if len(tries) == 1:
            raise BlockingIOError
        return real(fd, raw[:100])  # a terminal may take less

    monkeypatch.setattr(os, "write", write)
    pipe.say(error="x" * 300)
    assert [line["error"] for line in pipe.lines()] == ["x" * 300]
    pipe.close()


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_what_cannot_be_said_is_mentioned(pipe: Pipe) -> None:
    pipe.say(thing=Rude())
    (line,) = pipe.lines()
    assert (line["event"], line["level"], line["where"], line["error"]) == (
        "record not logged",
        "error",
        "asyncq.worker",
        "RuntimeError('no words')",
    )


def test_nobody_who_reads_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    pipe = Pipe()
    os.close(pipe.reading)
    pipe.say(n=1)
    pipe.say(error="x" * 9000)
    pipe.stream.close()
    assert capsys.readouterr().err == ""


def test_a_closed_stream_is_not_written_to_for_its_number_may_be_somebody_elses(pipe: Pipe) -> None:
    number = pipe.stream.fileno()
    read_end, write_end = os.pipe()
    pipe.stream.close()
    os.dup2(write_end, number)  # the same number, and nobody's log
    try:
        pipe.say(n=1)
        os.set_blocking(read_end, False)
        with pytest.raises(BlockingIOError):
            os.read(read_end, 1)
    finally:
        for fd in (read_end, write_end, number):
            os.close(fd)


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("stream", [None, Broken(), sys.__stdin__])
def test_a_stream_that_takes_nothing_is_no_error(stream: TextIO | None) -> None:
    LineHandler(stream, JsonFormatter("w")).handle(record(n=1))


def test_a_stream_without_a_descriptor_gets_the_same_lines() -> None:
    stream = io.StringIO()
    LineHandler(stream, JsonFormatter("w")).handle(record(error="x" * 5000))
    assert "".join(json.loads(line)["error"] for line in stream.getvalue().splitlines()) == "x" * 5000


def test_nobody_waits_for_long_for_a_reader_who_stands_still_also_where_writing_blocks() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    began = time.monotonic()
    assert not put(writer, b"a line\n")
    assert 0.05 < time.monotonic() - began < 2
    os.read(reader, 65536)
    assert put(writer, b"a line\n")
    os.close(reader)
    os.close(writer)


def test_constant_fields_stand_in_every_line_and_a_records_own_go_first() -> None:
    formatter = JsonFormatter("w", {"generation": 3})
    assert [json.loads(formatter.format(record(**more)))["generation"] for more in ({}, {"generation": 4})] == [3, 4]
    assert TextFormatter("w", {"generation": 3}).format(record(n=1)).endswith("task failed generation=3 n=1")
    assert {json.loads(part)["generation"] for part in formatter.parts(record(error="x" * 9000))} == {3}


def test_one_line_has_no_part() -> None:
    assert json.loads(json_line({"event": "ready"})) == {"event": "ready"}
