"""The sink's counts, and the view of them."""

import asyncio
import io
import json
import time

import pytest
from rich.console import Console

from examples.signup.ledger import Ledger, is_flaky
from examples.signup.make_events import make_events
from examples.signup.watch import Quiet, hint, plain_line, shortfall, snapshot, summary, table, watch
from tests.support.states import until

EVENT_IDS = [event["event_id"] for event in make_events(1000)]
FLAKY = next(event_id for event_id in EVENT_IDS if is_flaky(event_id))
STEADY = next(event_id for event_id in EVENT_IDS if not is_flaky(event_id))


def arrived_everywhere(event_ids):
    ledger = Ledger()
    for channel in ("email", "analytics", "crm"):
        for event_id in event_ids:
            ledger.delivered(channel, event_id, "agent")
    return ledger


def test_about_one_in_ten_is_flaky_when_counted():
    assert 70 <= sum(map(is_flaky, EVENT_IDS)) <= 130


def test_flaky_event_is_refused_once_when_tried_again():
    ledger = Ledger()

    assert [ledger.refuse(FLAKY) for _ in range(3)] == [True, False, False]
    assert [ledger.refuse(STEADY) for _ in range(3)] == [False, False, False]
    assert ledger.counts()["flaky_refusals"] == 1


def test_same_events_are_refused_when_another_sink_starts():
    first, second = Ledger(), Ledger()

    assert [first.refuse(e) for e in EVENT_IDS] == [second.refuse(e) for e in EVENT_IDS]


def test_duplicates_are_counted_when_an_event_comes_twice():
    ledger = Ledger()
    for channel, event_id in (("email", "a"), ("email", "a"), ("email", "b"), ("crm", "a")):
        ledger.delivered(channel, event_id, "agent")

    assert ledger.counts() == {
        "email": {"deliveries": 3, "distinct": 2},
        "analytics": {"deliveries": 0, "distinct": 0},
        "crm": {"deliveries": 1, "distinct": 1},
        "duplicates": 1,
        "flaky_refusals": 0,
    }


def test_line_is_recorded_when_a_file_is_given():
    record = io.StringIO()
    before = time.time()

    Ledger(record).delivered("crm", "e-1", "agent pid=5")

    line = json.loads(record.getvalue())
    assert before - 0.001 <= line.pop("at") <= time.time() + 0.001
    assert line == {"channel": "crm", "event_id": "e-1", "agent": "agent pid=5"}


def test_snapshot_counts_only_what_was_pushed_when_more_arrives():
    ledger = arrived_everywhere(["a", "stranger"])

    now = snapshot(ledger, {"a", "b"}, 2.0)

    assert not now.complete
    assert plain_line(now) == "   2.0 s  email 1/2  analytics 1/2  crm 1/2  refused 0"
    assert snapshot(ledger, {"a"}, 2.0).complete


def test_summary_tells_the_rate_and_the_duplicates_when_all_arrived():
    ledger = arrived_everywhere(["a", "b"])
    ledger.delivered("crm", "a", "agent")

    assert summary(snapshot(ledger, {"a", "b"}, 0.5)) == (
        "All 2 events arrived on all 3 channels: 7 deliveries in 0.5 s (14 per second), "
        "1 of them duplicates; 0 refusals were retried."
    )


def test_what_others_pushed_is_no_duplicate_when_summed_up():
    ledger = arrived_everywhere(["a", "stranger"])

    assert "6 deliveries" in summary(snapshot(ledger, {"a"}, 0.5))
    assert "0 of them duplicates" in summary(snapshot(ledger, {"a"}, 0.5))


def test_table_shows_every_channel_when_drawn():
    out = io.StringIO()
    Console(file=out, width=100).print(table(snapshot(arrived_everywhere(["a"]), {"a", "b"}, 4.0)))

    for text in ("email", "analytics", "crm", "after 4.0 s", "0 refused with 503"):
        assert text in out.getvalue(), text


def test_missing_events_are_named_when_some_did_not_arrive():
    ledger = arrived_everywhere(["a"])
    for event_id in "bcde":
        ledger.delivered("email", event_id, "agent")

    assert shortfall(ledger, set("abcde")) == [
        "analytics: 4 of 5 events missing: b, c, d, ...",
        "crm: 4 of 5 events missing: b, c, d, ...",
    ]


def test_silence_is_noticed_once_when_nothing_arrives():
    quiet = Quiet(100.0, after_s=10.0)

    assert [quiet.noticed(0, 100.0 + t) for t in (0, 9.9, 10, 11, 30)] == [False, False, True, False, False]
    assert [quiet.noticed(5, 131.0), quiet.noticed(5, 140.0), quiet.noticed(5, 141.0)] == [False, False, True]


def test_hint_says_how_to_start_a_worker_when_nothing_arrived():
    text = hint(snapshot(Ledger(), {"a"}, 10.0), 10.0)

    assert text.startswith("No delivery has arrived yet for 10 s.")
    assert text.endswith("./run asyncq-supervise --procs auto --per-proc 50")


async def watched(ledger, expected, timeout_s):
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=False)
    last = await asyncio.wait_for(
        watch(ledger, expected, console=console, started_mono=time.monotonic(), timeout_s=timeout_s), 20
    )
    return last, out.getvalue()


async def test_watching_ends_when_everything_has_arrived():
    last, shown = await watched(arrived_everywhere(["a", "b"]), {"a", "b"}, timeout_s=60)

    assert last.complete
    assert "email 2/2  analytics 2/2  crm 2/2" in shown


async def test_line_is_not_repeated_when_nothing_changes():
    last, shown = await watched(Ledger(), {"a"}, timeout_s=1.6)

    assert not last.complete
    progress = [line.split(" s  ")[1] for line in shown.splitlines()]
    at_once_and_at_the_end = ["email 0/1  analytics 0/1  crm 0/1  refused 0"] * 2
    assert progress == at_once_and_at_the_end


async def test_watching_ends_incomplete_when_the_time_is_over():
    last, shown = await watched(arrived_everywhere(["a"]), {"a", "b"}, timeout_s=0)

    assert not last.complete
    assert "email 1/2" in shown


@pytest.mark.parametrize("terminal", [True, False])
async def test_watching_follows_the_ledger_when_deliveries_come_later(terminal):
    ledger, out = Ledger(), io.StringIO()
    console = Console(file=out, width=200, force_terminal=terminal)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        watching = group.create_task(watch(ledger, {"a"}, console=console, started_mono=time.monotonic(), timeout_s=60))
        await until(lambda: "email" in out.getvalue())
        for channel in ("email", "analytics", "crm"):
            ledger.delivered(channel, "a", "agent")

    assert watching.result().complete
