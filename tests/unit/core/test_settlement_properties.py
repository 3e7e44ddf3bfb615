"""Settlement for any outcome, message and options: total, counts once, leaves what is not asyncq's untouched."""

import json
from random import Random

import pytest

from asyncq.core import codec
from asyncq.core.options import TaskOptions
from asyncq.core.outcome import Kind, Outcome
from asyncq.core.settlement import DeadLetter, Reschedule, Settlement, SettlementRules, settle_for

NOW = 1_732_300_000.0
FAILED = Outcome(kind=Kind.FAILED, error_type="ValueError", error="ValueError: no", traceback="Traceback ...")
UNKNOWN = Outcome(kind=Kind.UNKNOWN_TASK, error="no task named 'n' is registered here")


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
