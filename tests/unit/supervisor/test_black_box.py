"""The black box: what a child wrote is read once, bounded and harmless, also after its death."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from asyncq.supervisor.blackbox import CUT, LIMIT_BYTES, BlackBox


@pytest.fixture(params=["memfd", "temporary file"])
def box(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlackBox]:
    if request.param == "temporary file":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    made = BlackBox()
    yield made
    made.close()


def write(box: BlackBox, raw: bytes) -> None:
    """As the child does, through the same descriptor."""
    assert os.write(box.fileno(), raw) == len(raw)


def test_what_was_written_is_read_once(box: BlackBox) -> None:
    assert box.read_new() == ""
    write(box, b"one\ntw")
    assert box.read_new() == "one\ntw"
    write(box, b"o\n")
    assert box.read_new() == "o\n"
    assert box.read_new() == ""


def test_it_is_empty_when_a_child_begins(box: BlackBox) -> None:
    write(box, b"before\n")
    box.read_new()
    box.begin()
    assert box.tail(9) == ()
    write(box, b"after\n")
    assert box.read_new() == "after\n"


def test_tail_is_the_last_lines_whether_they_were_read_or_not(box: BlackBox) -> None:
    write(box, b"one\n\ntwo\n  \nthree\n")
    box.read_new()
    assert box.tail(2) == ("two", "three")
    assert box.tail(9) == ("one", "two", "three")
    assert box.tail(0) == ()


def test_signs_that_a_terminal_obeys_are_shown(box: BlackBox) -> None:
    write(box, b"a\x1b[2Jb\xffc\r\n")
    assert box.read_new() == "a\\x1b[2Jb\ufffdc\\r\n"


def test_only_the_newest_part_of_much_is_read(box: BlackBox) -> None:
    write(box, b"old\n" + b"x" * LIMIT_BYTES + b"new")
    text = box.read_new()
    assert text.startswith(f"{CUT}\nx")
    assert text.endswith("new")
    assert len(text) == LIMIT_BYTES + len(CUT) + 1
    assert box.tail(2)[0] == CUT


def test_it_stays_small_when_a_child_writes_for_ever(box: BlackBox) -> None:
    write(box, b"read\n")
    box.keep_small()
    assert box.read_new() == "read\n"
    write(box, b"old\n" + b"x" * LIMIT_BYTES + b"\nnew\n")
    box.keep_small()
    assert os.fstat(box.fileno()).st_size <= LIMIT_BYTES // 2 + len(CUT) + 1
    assert box.tail(9)[0] == CUT
    assert box.tail(1) == ("new",)
    write(box, b"newer\n")
    text = box.read_new()
    assert text.endswith("new\nnewer\n")
    box.keep_small()
    assert box.read_new() == ""


def test_it_outlives_a_writer_and_is_closed_in_what_is_executed(box: BlackBox) -> None:
    fd = box.fileno()
    pid = os.fork()
    if pid == 0:
        os.write(fd, b"last words\n")
        os._exit(0)
    os.waitpid(pid, 0)
    assert box.read_new() == "last words\n"
    probe = f"import os\ntry: os.fstat({fd})\nexcept OSError: print('closed')"
    done = subprocess.run([sys.executable, "-c", probe], close_fds=False, capture_output=True, text=True, check=True)
    assert done.stdout == "closed\n"
