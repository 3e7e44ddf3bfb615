"""Settlement for any outcome, message and options: total, counts once, leaves what is not asyncq's untouched."""

import json
import math
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.core import codec
from asyncq.core.options import TaskOptions
from asyncq.core.outcome import Kind, Outcome
from asyncq.core.settlement import (
    COMPLETE,
    MAX_ERRORS_KEPT,
    RELEASE,
    DeadLetter,
    Reschedule,
    Settlement,
    SettlementRules,
    settle_for,
)
from tests.support.odd_json import members, messages, texts
from tests.support.properties import MANY, SOME

NOW = 1_732_300_000.0
FAILED = Outcome(kind=Kind.FAILED, error_type="ValueError", error="ValueError: no", traceback="Traceback ...")
UNKNOWN = Outcome(kind=Kind.UNKNOWN_TASK, error="no task named 'n' is registered here")

# What asyncq writes into a message: at most this much for each of three errors, a character taking up to six bytes.
ERROR_BYTES = 6 * (2000 + 500 + 100) + 200
OURS = {"attempt", "errors", "parked_since"}
COUNTED = {Kind.FAILED, Kind.TIMED_OUT, Kind.RETRY_ASKED}
DEAD = {Kind.DISCARDED: "discarded", Kind.EXPIRED: "expired", Kind.REJECTED: "rejected"}
AGAIN = [*sorted(COUNTED, key=str), Kind.SNOOZED, Kind.UNKNOWN_TASK]

outcomes = st.builds(
    Outcome,
    kind=st.sampled_from(Kind),
    error_type=st.sampled_from(["", "ValueError"]),
    error=texts | st.just("\0" * 500),
    traceback=texts | st.just("\0" * 3000) | st.just("é" * 10_000),
    delay_s=st.sampled_from([None, 0, 0.0, -1.5]) | st.floats(allow_nan=False, allow_infinity=False),
)
options = st.builds(TaskOptions, max_attempts=st.integers(1, 6))
clocks = st.floats(1.6e9, 1.9e9)


def text(**more: object) -> bytes:
    return json.dumps({"id": "1", "name": "n", "payload": 0, "timestamp": 1.5, **more}).encode()


def settle(
    outcome: Outcome,
    raw: bytes,
    options: TaskOptions | None = None,
    rules: SettlementRules | None = None,
    now_s: float = NOW,
    seed: int = 1,
) -> Settlement:
    message = codec.decode(raw)
    return settle_for(outcome, raw, message, options or TaskOptions(), rules or SettlementRules(), now_s, Random(seed))


def assert_is_end(found: str, whole: str, most: int) -> None:
    """All of it, or its end with a line that says so, as long as it may be."""
    if len(whole) <= most:
        assert whole == found
    else:
        cut, _, end = found.partition("\n")
        assert ("[the beginning was cut]", most, True) == (cut, len(found), whole.endswith(end))


def test_a_message_parked_in_the_future_is_parked_no_longer_than_any_other() -> None:
    """Regression: a `parked_since` ahead of this clock was carried over, and the message was parked for ever."""
    found = settle(UNKNOWN, text(parked_since=NOW + 1e9))

    assert isinstance(found, Reschedule)
    assert (5.0, NOW) == (found.delay_s, codec.decode(found.raw).parked_since)


def of_size(size_bytes: int, **more: object) -> bytes:
    """A message of exactly that many bytes."""
    return text(payload="x" * (size_bytes - len(text(payload="", **more))), **more)


def test_a_retry_leaves_out_errors_rather_than_growing_beyond_what_is_taken() -> None:
    """Regression: a legal message near the limit failed once, was oversized from then on and lost its payload."""
    raw, rules = of_size(1000), SettlementRules(max_message_bytes=1200)
    long = Outcome(kind=Kind.FAILED, error_type="E", error="e" * 100, traceback="t" * 5000)

    short, bare = settle(FAILED, raw, rules=rules), settle(long, raw, rules=rules)

    assert isinstance(short, Reschedule)
    assert isinstance(bare, Reschedule)
    assert (1, 0) == (len(codec.decode(short.raw).errors), len(codec.decode(bare.raw).errors))
    assert (2, 2) == (codec.decode(short.raw).attempt, codec.decode(bare.raw).attempt)
    assert codec.decode(raw).payload == codec.decode(bare.raw).payload


def test_the_oldest_errors_are_left_out_first() -> None:
    raw = text(attempt=4, errors=[{"attempt": number, "error": "e" * 300} for number in (1, 2, 3)])
    rules = SettlementRules(max_message_bytes=650)

    found = settle(FAILED, raw, TaskOptions(max_attempts=9), rules)

    assert isinstance(found, Reschedule)
    assert [3, 4] == [error["attempt"] for error in codec.decode(found.raw).errors]


@pytest.mark.parametrize(("outcome", "reason"), [(FAILED, "exhausted"), (UNKNOWN, "unknown_task")])
def test_a_message_without_room_for_one_more_number_becomes_a_dead_letter(outcome: Outcome, reason: str) -> None:
    raw = of_size(1000).replace(b", ", b",").replace(b": ", b":")  # a retry has no blanks to leave out

    found = settle(outcome, raw, rules=SettlementRules(max_message_bytes=len(raw) + 11))

    assert isinstance(found, DeadLetter)
    assert (reason, outcome.error) == (found.reason, found.details["error"])
    room = SettlementRules(max_message_bytes=len(raw) + 30)
    assert isinstance(settle(outcome, raw, rules=room), Reschedule)


def test_a_producers_own_errors_are_left_out_when_they_can_be_read_but_not_written() -> None:
    """Regression: orjson reads 1024 levels and writes 254, so the settlement raised."""
    deep = text(errors=["PLACE", {"attempt": 1}]).replace(b'"PLACE"', b"[" * 300 + b"]" * 300)

    found = settle(FAILED, deep)

    assert isinstance(found, Reschedule)
    assert [1, 1] == [error["attempt"] for error in codec.decode(found.raw).errors]


def test_the_largest_number_of_an_attempt_is_the_last_one() -> None:
    """Regression: the next one could not be written, so the settlement raised."""
    endless = TaskOptions(max_attempts=10**30)

    last, but_one = settle(FAILED, text(attempt=2**64 - 1), endless), settle(FAILED, text(attempt=2**64 - 2), endless)

    assert isinstance(last, DeadLetter)
    assert "exhausted" == last.reason
    assert isinstance(but_one, Reschedule)
    assert 2**64 - 1 == codec.decode(but_one.raw).attempt


@pytest.mark.parametrize("kind", Kind)
@SOME
@given(outcomes, messages(), options, clocks)
def test_every_outcome_has_its_settlement(
    kind: Kind, outcome: Outcome, raw: bytes, given_: TaskOptions, now_s: float
) -> None:
    outcome = replace(outcome, kind=kind)
    found, before = settle(outcome, raw, given_, now_s=now_s), codec.decode(raw)

    limit = before.max_attempts or given_.max_attempts
    if kind is Kind.SUCCEEDED:
        assert COMPLETE is found
    elif kind is Kind.RELEASED:
        assert RELEASE is found
    elif kind is Kind.SNOOZED:
        assert isinstance(found, Reschedule)
        assert (outcome.delay_s or 0, False) == (found.delay_s, found.counted)
    elif kind in DEAD:
        assert isinstance(found, DeadLetter)
        assert DEAD[kind] == found.reason
    elif kind in COUNTED and before.attempt >= limit:
        assert isinstance(found, DeadLetter)
        assert ("exhausted", before.attempt) == (found.reason, found.details["attempt"])
    elif kind in COUNTED:
        assert isinstance(found, Reschedule)
        assert found.counted
        assert outcome.delay_s is None or outcome.delay_s == found.delay_s
        assert math.isfinite(found.delay_s)


@MANY
@given(outcomes, messages(), options, clocks)
def test_a_dead_letter_says_whose_it_is_and_can_be_written(
    outcome: Outcome, raw: bytes, given_: TaskOptions, now_s: float
) -> None:
    found, before = settle(outcome, raw, given_, now_s=now_s), codec.decode(raw)

    if isinstance(found, DeadLetter):
        said = codec.load_json(codec.dump_json(found.details))
        assert (before.id, before.name, before.attempt) == (said["id"], said["name"], said["attempt"])
        assert (outcome.error, outcome.error_type) == (said["error"], said["error_type"])
        assert_is_end(said["traceback"], outcome.traceback, 8000)


@pytest.mark.parametrize("kind", AGAIN)
@SOME
@given(outcomes, messages(), options, clocks)
def test_a_message_that_runs_again_is_the_same_but_for_what_asyncq_writes(
    kind: Kind, outcome: Outcome, raw: bytes, given_: TaskOptions, now_s: float
) -> None:
    outcome = replace(outcome, kind=kind)
    found, before = settle(outcome, raw, given_, now_s=now_s), codec.decode(raw)
    if not isinstance(found, Reschedule):
        return

    after = codec.decode(found.raw)
    assert [it for it in members(raw) if it[0] not in OURS] == [it for it in members(found.raw) if it[0] not in OURS]
    assert before.attempt + found.counted == after.attempt
    assert found.counted or before.errors == after.errors
    assert len(found.raw) <= len(raw) + MAX_ERRORS_KEPT * ERROR_BYTES
    if kind is not Kind.UNKNOWN_TASK:
        assert after.parked_since is None
    if found.counted:
        assert len(after.errors) == min(len(before.errors) + 1, MAX_ERRORS_KEPT)
        kept, last = after.errors[:-1], after.errors[-1]
        assert kept == (before.errors[-(MAX_ERRORS_KEPT - 1) :])
        assert (before.attempt, outcome.error) == (last["attempt"], last["error"])
        assert outcome.error_type == last["error_type"]
        assert_is_end(last["traceback"], outcome.traceback, 2000)
        assert abs(now_s - last["at"]) < 0.001


@MANY
@given(messages(), st.data())
def test_no_message_fails_more_often_than_it_may(raw: bytes, data: st.DataObject) -> None:
    before, given_ = codec.decode(raw), data.draw(options)
    allowed = max((before.max_attempts or given_.max_attempts) - before.attempt + 1, 1)
    failed, found = 0, settle(UNKNOWN, raw, given_)
    while isinstance(found, Reschedule) or not failed:
        raw = found.raw if isinstance(found, Reschedule) else raw
        outcome = data.draw(outcomes.filter(lambda it: it.kind in COUNTED | {Kind.SNOOZED}))
        failed += outcome.kind in COUNTED
        found = settle(outcome, raw, given_)
        assert failed <= allowed

    assert isinstance(found, DeadLetter)
    assert ("exhausted", allowed) == (found.reason, failed)


@MANY
@given(messages(), st.floats(0, 3600), st.lists(st.floats(0.5, 60), min_size=1, max_size=30), clocks)
def test_a_message_is_parked_until_its_time_is_over(
    raw: bytes, park_s: float, pauses_s: list[float], now_s: float
) -> None:
    rules = SettlementRules(unknown_task_park_s=park_s)
    began_s = min(codec.decode(raw).parked_since or now_s, now_s)
    for pause_s in pauses_s:
        found, left_s = settle(UNKNOWN, raw, rules=rules, now_s=now_s), began_s + park_s - now_s
        if left_s <= 0:
            assert isinstance(found, DeadLetter)
            assert "unknown_task" == found.reason
            return
        assert isinstance(found, Reschedule)
        assert (min(5.0, left_s), False) == (found.delay_s, found.counted)
        assert began_s == codec.decode(found.raw).parked_since
        raw, now_s = found.raw, now_s + found.delay_s + pause_s


@MANY
@given(outcomes, messages(), st.integers(0, 5000), options)
def test_no_message_grows_beyond_the_limit(outcome: Outcome, raw: bytes, room: int, given_: TaskOptions) -> None:
    rules = SettlementRules(max_message_bytes=len(raw) + room)

    found = settle(outcome, raw, given_, rules)

    if isinstance(found, Reschedule):
        assert len(found.raw) <= rules.max_message_bytes
    elif room > 50 and outcome.kind in COUNTED:
        limit = codec.decode(raw).max_attempts or given_.max_attempts
        assert codec.decode(raw).attempt >= limit


@MANY
@given(outcomes, messages(), options, st.integers())
def test_the_same_draw_decides_the_same(outcome: Outcome, raw: bytes, given_: TaskOptions, seed: int) -> None:
    assert settle(outcome, raw, given_, seed=seed) == settle(outcome, raw, given_, seed=seed)


@MANY
@given(outcomes, st.binary(max_size=20), options)
def test_what_is_no_message_is_never_run_again(outcome: Outcome, raw: bytes, given_: TaskOptions) -> None:
    found: Any = settle_for(outcome, raw, None, given_, SettlementRules(), NOW, Random(1))

    if outcome.kind in (Kind.SUCCEEDED, Kind.RELEASED):
        assert found in (COMPLETE, RELEASE)
    else:
        assert DeadLetter("malformed", {"error": outcome.error}) == found
