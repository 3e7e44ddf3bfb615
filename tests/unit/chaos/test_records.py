"""Growing files are read line by line, each line once, half a line not before its end is there."""

from pathlib import Path

from tests.chaos.records import Log, Record, Tail


def test_each_line_comes_once_and_half_a_line_later(tmp_path: Path) -> None:
    path = tmp_path / "file"
    tail = Tail(path)
    assert [] == tail.read()  # not there yet
    path.write_bytes(b"one\ntw")
    assert ["one"] == tail.read()
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert ["two", "three"] == tail.read()
    assert [] == tail.read()
    assert ["one", "two", "three"] == tail.lines


def test_a_record_counts_what_started_and_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_text("S 1 5.0 10\nS 2 5.0 10\nD 1 5.5 10\nS 1 6.0 11\nF 2 6.0 10\nD 1 6.5 11\n")
    record = Record(path)
    record.read()

    assert ({"1", "2"}, {"1"}, 3, {10: 5.5, 11: 6.5}) == (
        record.started,
        record.done,
        record.starts,
        record.first_done_at,
    )


def test_a_log_knows_its_events_and_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"event": "ready", "pid": 7}\nTraceback (most recent call last):\n{"event": "ready", "pid": 8}\n')
    log = Log(path)

    assert [7, 8] == [event["pid"] for event in log.events("ready")]
    assert ["Traceback (most recent call last):"] == log.other_lines()
