"""From an outcome to what becomes of the message: every kind, and the limits."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.core import codec
from asyncq.core.options import TaskOptions
from asyncq.core.outcome import RELEASED, SUCCEEDED, Kind, Outcome
from asyncq.core.retry import RetryPolicy
from asyncq.core.settlement import COMPLETE, RELEASE, DeadLetter, Reschedule, Settlement, SettlementRules, settle_for

NOW = 1_000_000.0
FAILED = Outcome(kind=Kind.FAILED, error_type="ValueError", error="ValueError: no", traceback="Traceback ...")


def message(**more: object) -> bytes:
    return json.dumps({"id": "1", "name": "n", "payload": {"k": 1}, "timestamp": 1.0, **more}).encode()


def settle(outcome: Outcome, raw: bytes | None = None, options: TaskOptions | None = None, seed: int = 1) -> Settlement:
    raw = message() if raw is None else raw
    return settle_for(
        outcome, raw, codec.decode(raw), options or TaskOptions(), SettlementRules(), now_s=NOW, rng=Random(seed)
    )


def test_success_completes_and_release_releases() -> None:
    assert COMPLETE == settle(SUCCEEDED)
    assert RELEASE == settle(RELEASED)


def test_bytes_that_are_no_message_are_a_dead_letter() -> None:
    outcome = Outcome(kind=Kind.MALFORMED, error="not JSON")

    found = settle_for(outcome, b"x", None, TaskOptions(), SettlementRules(), now_s=NOW, rng=Random(1))

    assert DeadLetter("malformed", {"error": "not JSON"}) == found


@pytest.mark.parametrize(
    ("attempt", "shortest", "longest"), [(1, 0.5, 1.0), (2, 1.0, 2.0), (9, 128.0, 256.0), (20, 150.0, 300.0)]
)
def test_a_failure_is_retried_after_the_back_off_of_its_attempt(attempt: int, shortest: float, longest: float) -> None:
    options = TaskOptions(max_attempts=100)

    delays = [settle(FAILED, message(attempt=attempt), options, seed).delay_s for seed in range(50)]  # type: ignore[union-attr]

    assert shortest <= min(delays) < max(delays) <= longest


@pytest.mark.parametrize(("attempt", "shortest", "longest"), [(1, 20.0, 40.0), (2, 35.0, 70.0), (9, 35.0, 70.0)])
def test_a_task_may_bring_its_own_back_off(attempt: int, shortest: float, longest: float) -> None:
    options = TaskOptions(max_attempts=100, retry=RetryPolicy(base_s=40, cap_s=70))

    delays = [settle(FAILED, message(attempt=attempt), options, seed).delay_s for seed in range(50)]  # type: ignore[union-attr]

    assert shortest <= min(delays) < max(delays) <= longest


def test_a_retry_counts_the_attempt_and_remembers_the_error() -> None:
    found = settle(FAILED)

    assert isinstance(found, Reschedule)
    again = codec.decode(found.raw)
    assert 2 == again.attempt
    assert [("ValueError", 1)] == [(error["error_type"], error["attempt"]) for error in again.errors]
    assert b'{"k": 1}' in found.raw


def test_only_the_last_three_errors_are_kept() -> None:
    raw = message()
    for _ in range(5):
        found = settle(FAILED, raw, TaskOptions(max_attempts=99))
        assert isinstance(found, Reschedule)
        raw = found.raw

    assert [3, 4, 5] == [error["attempt"] for error in codec.decode(raw).errors]


def test_a_long_traceback_is_cut_to_its_end() -> None:
    traceback = "".join(f"line {number}\n" for number in range(2000))
    outcome = Outcome(kind=Kind.FAILED, error_type="E", error="e", traceback=traceback)

    retried, buried = settle(outcome), settle(outcome, message(attempt=3))

    assert isinstance(retried, Reschedule)
    cut = "[the beginning was cut]\n"
    assert [cut + traceback[-1_976:]] == [error["traceback"] for error in codec.decode(retried.raw).errors]
    assert isinstance(buried, DeadLetter)
    assert cut + traceback[-7_976:] == buried.details["traceback"]


@pytest.mark.parametrize("kind", [Kind.FAILED, Kind.TIMED_OUT, Kind.RETRY_ASKED])
def test_the_last_attempt_becomes_a_dead_letter_with_its_traceback(kind: Kind) -> None:
    outcome = Outcome(kind=kind, error_type="E", error="e", traceback="tb")

    found = settle(outcome, message(attempt=3))

    assert isinstance(found, DeadLetter)
    assert ("exhausted", 3, "tb") == (found.reason, found.details["attempt"], found.details["traceback"])


def test_the_message_may_say_how_often_it_is_tried() -> None:
    assert isinstance(settle(FAILED, message(max_attempts=1)), DeadLetter)
    assert isinstance(settle(FAILED, message(attempt=3, max_attempts=4)), Reschedule)


@pytest.mark.parametrize("delay_s", [7.5, 0.0])
def test_a_handler_may_choose_the_delay(delay_s: float) -> None:
    outcome = Outcome(kind=Kind.RETRY_ASKED, error_type="Retry", error="later", delay_s=delay_s)

    assert delay_s == settle(outcome).delay_s  # type: ignore[union-attr]


def test_a_snooze_changes_no_byte() -> None:
    assert Reschedule(4.0, message(), counted=False) == settle(Outcome(kind=Kind.SNOOZED, delay_s=4.0))


def test_what_no_repetition_mends_is_a_dead_letter_with_its_reason() -> None:
    for kind, reason in [
        (Kind.DISCARDED, "discarded"),
        (Kind.EXPIRED, "expired"),
        (Kind.REJECTED, "rejected"),
    ]:
        found = settle(Outcome(kind=kind, error="why"))
        assert isinstance(found, DeadLetter)
        assert (reason, "why") == (found.reason, found.details["error"])


def test_an_unknown_task_is_parked_then_buried() -> None:
    unknown = Outcome(kind=Kind.UNKNOWN_TASK, error="no task named 'n'")

    parked = settle(unknown)
    assert isinstance(parked, Reschedule)
    assert (5.0, False, NOW) == (parked.delay_s, parked.counted, codec.decode(parked.raw).parked_since)
    almost = settle(unknown, message(parked_since=NOW - 599))
    assert isinstance(almost, Reschedule)
    assert 1.0 == almost.delay_s
    over = settle(unknown, message(parked_since=NOW - 600))
    assert isinstance(over, DeadLetter)
    assert "unknown_task" == over.reason


@pytest.mark.parametrize("ran", [FAILED, Outcome(kind=Kind.SNOOZED, delay_s=4.0)])
def test_the_time_of_being_parked_begins_anew_when_the_task_was_known_meanwhile(ran: Outcome) -> None:
    found = settle(ran, message(parked_since=NOW - 599))

    assert isinstance(found, Reschedule)
    assert codec.decode(found.raw).parked_since is None
    assert isinstance(settle(Outcome(kind=Kind.UNKNOWN_TASK), found.raw), Reschedule)


@given(st.integers(1, 10_000), st.floats(0, 1e6), st.floats(0, 1e6), st.integers())
def test_a_delay_lies_in_the_upper_half_below_the_cap(attempt: int, base_s: float, cap_s: float, seed: int) -> None:
    delay_s = RetryPolicy(base_s=base_s, cap_s=cap_s).delay_s(attempt, Random(seed))

    longest = min(cap_s, base_s * 2.0 ** min(attempt - 1, 60))
    assert longest / 2 <= delay_s <= longest
