"""What the log, the callback and standard error are told, and that nobody has to be there to read it."""

import io
import logging

import pytest

from asyncq.supervisor.events import AllReady, ChildDied, Event, GaveUp
from asyncq.supervisor.notices import Notices

GAVE_UP = GaveUp(3, ("no such app",), "cannot import the app")


class Gone(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


def test_person_is_told_the_sentence_and_the_log_the_rest(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    Notices(None, "").tell(GAVE_UP)
    assert capsys.readouterr().err == "asyncq: cannot import the app\n"
    (record,) = caplog.records
    assert (record.getMessage(), record.__dict__["exit_code"]) == ("gave up", 3)
    assert not hasattr(record, "sentence")


@pytest.mark.parametrize("stream", [Gone(), closed()])
def test_callback_is_called_when_nobody_reads_standard_error(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO
) -> None:
    heard: list[Event] = []
    monkeypatch.setattr("sys.stderr", stream)
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
