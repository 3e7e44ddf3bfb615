"""What the log, the callback and standard error are told, and that nobody has to be there to read it."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from asyncq.supervisor.events import AllReady, ChildDied, Event, GaveUp
from asyncq.supervisor.notices import Notices

GAVE_UP = GaveUp(3, ("no such app",), "cannot import the app")


@contextmanager
def unread(how: str) -> Iterator[None]:
    """Nobody reads standard error, neither the stream nor the descriptor. Not a fixture: capturing begins after it."""
    kept = os.dup(2)
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    with pytest.MonkeyPatch.context() as patch, open(2, "w", closefd=False) as stream:
        patch.setattr("sys.stderr", stream)
        match how:
            case "closed":
                os.close(2)
            case "its reader has gone":
                os.close(reader)
            case "its reader does not read":
                os.write(2, bytes(fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ)))
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            if how != "its reader has gone":
                os.close(reader)


def test_person_is_told_the_sentence_and_the_log_the_rest(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    Notices(None, "").tell(GAVE_UP)
    assert capfd.readouterr().err == "asyncq: cannot import the app\n"
    (record,) = caplog.records
    assert (record.getMessage(), record.__dict__["exit_code"]) == ("gave up", 3)
    assert not hasattr(record, "sentence")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("how", ["closed", "its reader has gone", "its reader does not read"])
def test_callback_is_called_when_nobody_reads_standard_error(how: str) -> None:
    heard: list[Event] = []
    with unread(how):
        Notices(heard.append, "").tell(GAVE_UP)
    assert heard == [GAVE_UP]


def test_readiness_of_all_is_not_logged_because_the_roof_says_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    heard: list[Event] = []
    Notices(heard.append, "").tell(AllReady())
    assert heard == [AllReady()]
    assert caplog.records == []


@pytest.mark.parametrize(
    ("reason", "level", "name"), [("asked", "INFO", "child stopped"), ("crash", "WARNING", "child died")]
)
def test_end_of_a_child_is_a_warning_unless_it_was_asked_to_leave(
    caplog: pytest.LogCaptureFixture, reason: str, level: str, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    Notices(None, "").tell(ChildDied("worker", 0, 7, "exit code 0", reason, False))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [(level, name)]
