"""What user code raises, in words of bounded size, whatever it is: long, deep, nested, chained, or broken itself."""

import json
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.worker import raised
from tests.support.properties import MANY

CUT = "[the beginning was cut]\n"


def caught(make: Callable[[], None]) -> BaseException:
    try:
        make()  # the frame on top, which stands for the executor's
    except BaseException as error:
        return error
    raise AssertionError("raised nothing")


def below(depth: int) -> None:
    if depth:
        beside(depth - 1)
    raise ValueError("at the bottom")


def beside(depth: int) -> None:  # two functions: Python writes equal lines only once
    below(depth)


def endless(depth: int) -> None:
    (endless if depth % 2 else endless_too)(depth + 1)


def endless_too(depth: int) -> None:
    endless(depth + 1)


def test_a_short_traceback_is_whole_and_begins_with_the_handler() -> None:
    found = raised.trace(caught(lambda: below(0)))

    head, first, *_, last = found.splitlines()
    assert "Traceback (most recent call last):" == head
    assert first.endswith("in <lambda>")
    assert "ValueError: at the bottom" == last


@pytest.mark.parametrize("depth", [100, 400])
def test_of_many_frames_the_last_are_kept_and_it_says_so(depth: int) -> None:
    found = raised.trace(caught(lambda: below(depth)))

    assert (8000, True) == (len(found), found.startswith(CUT))
    assert found.endswith('in below\n    raise ValueError("at the bottom")\nValueError: at the bottom\n')


def test_a_recursion_without_end_is_written_to_its_end() -> None:
    found = raised.trace(caught(lambda: endless(0)))

    assert (8000, True) == (len(found), found.startswith(CUT))
    assert found.endswith("RecursionError: maximum recursion depth exceeded\n")


def test_beyond_a_thousand_frames_only_the_last_thousand_are_looked_at() -> None:
    def same(depth: int) -> None:
        if depth == 0:
            raise ValueError("at the bottom")
        same(depth - 1)

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        found = raised.trace(caught(lambda: same(3000)))
    finally:
        sys.setrecursionlimit(before)

    assert found.startswith(CUT)
    assert "[Previous line repeated 996 more times]" in found
    assert len(found) < 8000
    assert found.endswith("ValueError: at the bottom\n")


@pytest.mark.parametrize("text", ["x" * 10_000_000, "many words " * 900_000, "line\n" * 2_000_000])
def test_a_text_of_megabytes_leaves_room_for_where_it_happened(text: str) -> None:
    def fail() -> None:
        raise ValueError(text)

    error = caught(fail)
    found, line = raised.trace(error), raised.one_line(error)

    assert "in fail\n    raise ValueError(text)\n" in found
    assert "characters were cut]" in found
    assert 4000 < len(found) <= 8000
    assert found.rstrip().endswith(text.rstrip()[-100:])
    assert (True, True) == (line.startswith(f"ValueError: {text[:4]}"), len(line) <= 500)


def test_notes_stay_in_the_traceback_and_out_of_the_line() -> None:
    def fail() -> None:
        error = ValueError("declined")
        for number in range(3000):
            error.add_note(f"note {number}")
        raise error

    error = caught(fail)
    assert "ValueError: declined" == raised.one_line(error)
    assert raised.trace(error).endswith("note 2998\nnote 2999\n")
    assert len(raised.trace(error)) <= 8000


def test_causes_stand_before_what_they_caused_and_are_cut_first() -> None:
    def fail() -> None:
        error: Exception = KeyError("first")
        for number in range(500):
            following = ValueError(f"number {number}")
            following.__cause__ = error
            error = following
        raise error

    found = raised.trace(caught(fail))
    assert (8000, True) == (len(found), found.startswith(CUT))
    assert "The above exception was the direct cause of the following exception:" in found
    assert found.endswith("ValueError: number 499\n")


def nested(depth: int) -> BaseException:
    error: Exception = ValueError("innermost")
    for number in range(depth):
        error = ExceptionGroup(f"group {number}", [error, KeyError(number)])
    return error


def raise_nested(depth: int) -> None:
    raise nested(depth)


@pytest.mark.parametrize("depth", [1, 5])
def test_groups_are_written_with_all_their_members(depth: int) -> None:
    error = caught(lambda: raise_nested(depth))

    found = raised.trace(error)
    assert f"ExceptionGroup: group {depth - 1} (2 sub-exceptions)" == raised.one_line(error)
    assert "ValueError: innermost" in found
    assert all(f"KeyError: {number}" in found for number in range(depth))


@pytest.mark.parametrize("depth", [50, 5000])
def test_groups_nested_without_end_are_bounded(depth: int) -> None:
    error = caught(lambda: raise_nested(depth))

    assert 0 < len(raised.trace(error)) <= 8000
    assert "ExceptionGroup" in raised.one_line(error)


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class NotedError(Exception):
    @property
    def __notes__(self) -> list[str]:
        raise RuntimeError("no notes")


class NamelessError(Exception):
    __module__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [MuteError, NotedError, NamelessError, type("E" * 100_000, (Exception,), {})])
def test_an_exception_that_cannot_be_looked_at_is_still_named(kind: type[Exception]) -> None:
    def fail() -> None:
        raise kind("text")

    error = caught(fail)
    assert kind.__name__[:100] == raised.type_name(error)
    for words, most in ((raised.one_line(error), 500), (raised.trace(error), 8000)):
        assert kind.__name__[:100] in words
        assert len(words) <= most


@MANY
@given(st.text(st.characters(), max_size=300))
def test_every_text_can_be_said_in_json(text: str) -> None:
    def fail() -> None:
        raise ValueError(text)

    error = caught(fail)
    json.dumps([raised.one_line(error), raised.trace(error)], ensure_ascii=False).encode()


def test_a_text_of_lone_surrogates_does_not_grow_beyond_the_limit() -> None:
    def fail() -> None:
        raise ValueError("\ud800" * 20_000)

    error = caught(fail)
    assert len(raised.trace(error)) <= 8000
    assert len(raised.one_line(error)) <= 500
    assert raised.trace(error).rstrip().endswith("\\ud800")
