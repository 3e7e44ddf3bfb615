"""The page: text and OpenMetrics, whatever the names hold."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from asyncq.metrics import catalogue
from asyncq.metrics.aggregate import Distribution, Family, Point, aggregate
from asyncq.metrics.exposition import render
from asyncq.metrics.recorder import Recorder
from asyncq.metrics.segment import Segment

NASTY = 'a "quoted" \\ name\nwith a {brace}'


def page() -> list[Family]:
    segment = Segment.create(1)
    recorder = Recorder(segment.region(0), ["send", NASTY])
    for task in ("send", NASTY):
        recorder.started("{q}:1")
        recorder.finished("{q}:1", task, "failed", 0.02, "OSError")
    info = Family(catalogue.BUILD_INFO, (Point((("python", "3"), ("version", "1")), 1.0),))
    return [*aggregate(segment.snapshots(), {0}), info]


def test_the_text_page_parses_back_to_what_was_counted() -> None:
    body, content_type = render(page(), "")
    assert content_type.startswith("text/plain; version=0.0.4")
    samples = {
        (sample.name, sample.labels.get("task"), sample.labels.get("le"), sample.labels.get("outcome")): sample.value
        for each in parse_text(body.decode())
        for sample in each.samples
    }
    assert samples["asyncq_tasks_processed_total", NASTY, None, "failed"] == 1.0
    assert samples["asyncq_task_duration_seconds_bucket", "send", "0.01", None] == 0.0
    assert samples["asyncq_task_duration_seconds_bucket", "send", "0.025", None] == 1.0
    assert samples["asyncq_task_duration_seconds_bucket", "send", "+Inf", None] == 1.0
    assert samples["asyncq_task_duration_seconds_count", "send", None, None] == 1.0
    assert samples["asyncq_task_duration_seconds_sum", "send", None, None] == 0.02
    assert samples["asyncq_build_info", None, None, None] == 1.0


def test_a_counter_ends_in_total_exactly_once_in_both_formats() -> None:
    text = render(page(), "")[0].decode()
    openmetrics = render(page(), "application/openmetrics-text; version=1.0.0")[0].decode()
    assert "# TYPE asyncq_tasks_processed_total counter" in text
    assert "# TYPE asyncq_tasks_processed counter" in openmetrics
    assert "\nasyncq_tasks_processed_total{" in text
    assert "\nasyncq_tasks_processed_total{" in openmetrics
    assert "_total_total" not in text + openmetrics
    assert "_info_info" not in text + openmetrics


def test_openmetrics_is_written_and_valid_when_the_scraper_asks_for_it() -> None:
    body, content_type = render(page(), "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    families = {each.name: each for each in parse_openmetrics(body.decode())}
    assert families["asyncq_task_duration_seconds"].unit == "seconds"
    assert families["asyncq_task_exceptions"].samples[0].value == 1.0


@pytest.mark.parametrize(
    "accept",
    ["text/plain;version=x", "application/openmetrics-text;version=x", "\xff;;==", "text/plain;version=" + "9" * 5_000],
)
def test_the_text_page_is_written_when_the_accept_header_makes_no_sense(accept: str) -> None:
    body, content_type = render(page(), accept)
    assert content_type.startswith("text/plain")
    assert b"asyncq_tasks_processed_total{" in body


def test_bounds_are_written_as_prometheus_writes_numbers() -> None:
    one = Distribution((), (0.005, 1.0, 300.0), (1.0, 2.0, 3.0, 4.0), 9.5)
    text = render([Family(catalogue.TASK_DURATION, distributions=(one,))], "")[0].decode()
    assert [line.split('"')[1] for line in text.splitlines() if "_bucket" in line] == ["0.005", "1.0", "300.0", "+Inf"]
