"""One line per record, as text for people and as JSON for programs."""

import io
import json
import logging
import sys

import pytest

from asyncq.core import logs
from asyncq.core.logs import JsonFormatter, TextFormatter, as_text, configure


def record(**fields: object) -> logging.LogRecord:
    made = logging.LogRecord("asyncq.worker", logging.INFO, __file__, 1, "task will be retried", (), None)
    made.__dict__.update(fields)
    return made


def test_text_is_an_event_with_fields_that_read_as_words() -> None:
    line = TextFormatter("worker[0]").format(record(id="7", delay_s=0.7, error='ValueError: "no"', empty=""))

    assert line.split(" ", 1)[1] == (
        'INFO worker[0] task will be retried id=7 delay_s=0.7 error="ValueError: \\"no\\"" empty=""'
    )


@pytest.mark.parametrize(
    ("shown", "value"),
    [
        ("\\x1b[31mred", "\x1b[31mred"),
        ("\\x9b2J", "\x9b2J"),
        ("\\u202e7", "\u202e7"),
        ("\\x7f", "\x7f"),
        ('"two\\nlines"', "two\nlines"),
        ('"a\\u2028b"', "a\u2028b"),
        ('"a \\u001b[2J"', "a \x1b[2J"),
        ('"Grüße, 東京"', "Grüße, 東京"),
        ("Grüße", "Grüße"),
    ],
)
def test_no_field_of_a_text_line_can_make_a_terminal_do_something(shown: str, value: str) -> None:
    line = TextFormatter("worker[0]").format(record(id=value))

    assert f"INFO worker[0] task will be retried id={shown}" == line.split(" ", 1)[1]


def test_json_is_one_object_per_line_whatever_the_fields_hold() -> None:
    line = JsonFormatter("worker[0]").format(record(id="7", error="two\nlines", thing=object))

    assert "\n" not in line
    found = json.loads(line)
    assert ("task will be retried", "info", "worker[0]", "7", "two\nlines") == tuple(
        found[key] for key in ("event", "level", "process", "id", "error")
    )


def failed_record() -> logging.LogRecord:
    made = record(id="7")
    try:
        raise ValueError("no")
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_a_traceback_stays_inside_its_json_line() -> None:
    made = failed_record()

    assert "ValueError: no" in json.loads(JsonFormatter("w").format(made))["traceback"]


def test_a_traceback_follows_its_text_line() -> None:
    first, second, *_, last = TextFormatter("w").format(failed_record()).splitlines()

    assert first.endswith("INFO w task will be retried id=7")
    assert ("Traceback (most recent call last):", "ValueError: no") == (second, last)


def test_a_traceback_cannot_make_a_terminal_do_something() -> None:
    made = record()
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        made.exc_info = sys.exc_info()

    assert "ValueError: \\x1b[2J" == TextFormatter("w").format(made).splitlines()[-1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("expected", "form", "stream"),
    [
        (True, "text", io.StringIO()),
        (False, "json", io.StringIO()),
        (False, "auto", io.StringIO()),
        (True, "text", Terminal()),
        (False, "json", Terminal()),
        (True, "auto", Terminal()),
    ],
)
def test_auto_means_text_only_on_a_terminal(expected: bool, form: str, stream: io.StringIO) -> None:
    assert expected == as_text(form, stream)


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """A root logger that only this test configures."""
    made = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(logging, "root", made)
    return made


@pytest.mark.parametrize(
    ("expected", "level"),
    [
        (["debug", "info", "warning", "error"], "DEBUG"),
        (["info", "warning", "error"], "INFO"),
        (["warning", "error"], "WARNING"),
        (["error"], "ERROR"),
    ],
)
def test_nothing_below_the_level_is_sent(root: logging.Logger, expected: list[str], level: str) -> None:
    stream = io.StringIO()
    configure("keeper", level, "json", stream)
    for name in ("debug", "info", "warning", "error"):
        getattr(root, name)("an event")

    assert expected == [json.loads(line)["level"] for line in stream.getvalue().splitlines()]


def test_a_process_configured_again_says_everything_once_under_its_new_name(root: logging.Logger) -> None:
    before, after = io.StringIO(), Terminal()
    configure("supervisor", stream=before)
    configure("worker[0]", stream=after)
    root.info("started")

    assert "" == before.getvalue()
    assert ["INFO worker[0] started"] == [line.split(" ", 1)[1] for line in after.getvalue().splitlines()]


def test_a_line_is_passed_on_only_where_there_is_a_standard_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert logs.put_line(b"one\n")
    monkeypatch.setattr("sys.stderr", None)  # as when a program was started with 2>&-: 2 is the next thing it opens
    assert not logs.put_line(b"two\n")
    assert "one\n" == capfd.readouterr().err
