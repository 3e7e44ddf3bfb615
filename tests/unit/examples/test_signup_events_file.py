"""The shipped events: reproducible, well formed, safe to send."""

import json

import pytest

from asyncq.core.errors import ConfigurationError
from examples.signup.event import problem_with
from examples.signup.make_events import COUNT, EVENTS_FILE, SEED, as_bytes, make_events
from examples.signup.push import delay_s, read_events


def test_file_is_what_the_generator_makes_when_run_with_its_seed():
    assert EVENTS_FILE.read_bytes() == as_bytes(make_events())


def test_other_events_come_when_the_seed_differs():
    assert as_bytes(make_events(5)) != as_bytes(make_events(5, seed=SEED + 1))


def shipped():
    return [json.loads(line) for line in EVENTS_FILE.read_text(encoding="utf-8").splitlines()]


def test_events_are_good_and_distinct_when_read_back():
    events = shipped()

    assert len(events) == COUNT == 5_000
    assert [problem_with(event) for event in events if problem_with(event)] == []
    for key in ("event_id", "user_id", "email"):
        assert len({event[key] for event in events}) == COUNT, key
    moments = [event["signed_up_at"] for event in events]
    assert moments == sorted(moments)


def test_mails_go_to_reserved_domains_only_when_sent():
    domains = {event["email"].rpartition("@")[2] for event in shipped()}

    assert domains == {"example.com", "example.org", "example.net"}


def test_names_are_in_many_scripts_when_looked_at():
    names = "".join(event["name"] for event in shipped())

    for letter in "aüШΓمनא伟김さ":
        assert letter in names, letter


def test_file_stays_small_when_shipped():
    assert EVENTS_FILE.stat().st_size < 2_000_000


def test_first_events_are_read_when_a_count_is_given():
    assert [event["event_id"] for event in read_events(EVENTS_FILE, 3)] == [
        event["event_id"] for event in make_events()
    ][:3]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_ends_at_a_newline_only_when_read(tmp_path, end):
    path = tmp_path / "events"
    event = {"event_id": "e-1", "email": "a@example.com", "name": "A", "company": "x\u2028y"}
    path.write_text(json.dumps(event, ensure_ascii=False) + end, encoding="utf-8")

    assert [event] == read_events(path)


@pytest.mark.parametrize(
    ("content", "count", "sentence"),
    [
        ("{}\n", None, r"events:1: expected 'event_id' to be a text, found None"),
        ("{\n", None, r"events:1: expected a JSON object, found "),
        ('{"event_id": "e", "email": "a@example.com", "name": "A\\u2028"}', None, r"events:1: expected 'name' without"),
        ("[]\n", None, r"events:1: expected the payload to be an object, found list"),
        ("", 1, r"--count: expected at most 0, the events in .*events, found 1"),
    ],
)
def test_one_sentence_comes_when_a_file_is_wrong(tmp_path, content, count, sentence):
    path = tmp_path / "events"
    path.write_text(content)

    with pytest.raises(ConfigurationError, match=sentence):
        read_events(path, count)


def test_one_sentence_comes_when_the_file_is_missing(tmp_path):
    with pytest.raises(ConfigurationError, match=r"--file .*nothing: expected a readable UTF-8 file, found "):
        read_events(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("expected", "number", "rate", "elapsed_s"),
    [(0.0, 1000, None, 0.0), (0.0, 0, 10, 0.0), (0.5, 5, 10, 0.0), (0.25, 5, 10, 0.25), (0.0, 5, 10, 9.0)],
)
def test_pushing_waits_for_its_turn_when_a_rate_is_given(expected, number, rate, elapsed_s):
    assert delay_s(number, rate, elapsed_s) == expected
