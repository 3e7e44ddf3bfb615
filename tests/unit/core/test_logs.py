"""One line per record, as text for people and as JSON for programs."""

import io
import json
import logging
import sys

import pytest

from asyncq.core.logs import JsonFormatter, TextFormatter, as_text


def record(**fields: object) -> logging.LogRecord:
    made = logging.LogRecord("asyncq.worker", logging.INFO, __file__, 1, "task will be retried", (), None)
    made.__dict__.update(fields)
    return made


def test_text_is_an_event_with_fields_that_read_as_words() -> None:
    line = TextFormatter("worker[0]").format(record(id="7", delay_s=0.7, error='ValueError: "no"', empty=""))

    assert line.split(" ", 1)[1] == (
        'INFO worker[0] task will be retried id=7 delay_s=0.7 error="ValueError: \\"no\\"" empty=""'
    )


def test_json_is_one_object_per_line_whatever_the_fields_hold() -> None:
    line = JsonFormatter("worker[0]").format(record(id="7", error="two\nlines", thing=object))

    assert "\n" not in line
    found = json.loads(line)
    assert ("task will be retried", "info", "worker[0]", "7", "two\nlines") == tuple(
        found[key] for key in ("event", "level", "process", "id", "error")
    )


def test_a_traceback_stays_inside_its_json_line() -> None:
    made = record()
    try:
        raise ValueError("no")
    except ValueError:
        made.exc_info = sys.exc_info()

    assert "ValueError: no" in json.loads(JsonFormatter("w").format(made))["traceback"]


@pytest.mark.parametrize(("form", "expected"), [("text", True), ("json", False), ("auto", False)])
def test_auto_means_text_only_on_a_terminal(form: str, expected: bool) -> None:
    assert expected == as_text(form, io.StringIO())
