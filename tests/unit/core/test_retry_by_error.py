"""What holds for which error: the first match in order, classes and predicates, and what may not be said."""

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.core import codec
from asyncq.core.errors import ConfigurationError, Discard, Retry, Snooze
from asyncq.core.options import TaskOptions
from asyncq.core.outcome import Kind, Outcome
from asyncq.core.retry import RetryPolicy, policy_for
from asyncq.core.settlement import DeadLetter, Reschedule, Settlement, SettlementRules, settle_for
from tests.support.properties import MANY

LONG = RetryPolicy(base_s=100, cap_s=100)
LONGER = RetryPolicy(base_s=1000, cap_s=1000)


class RateLimitedError(Exception):
    status = 429


class GoneError(RateLimitedError):
    status = 410


def settle(error: BaseException | None, options: TaskOptions, kind: Kind = Kind.FAILED, **more: Any) -> Settlement:
    delay_s = more.pop("delay_s", None)
    raw = json.dumps({"id": "1", "name": "n", "payload": 0, "timestamp": 1.5, **more}).encode()
    outcome = Outcome(kind=kind, error_type="E", error="e", traceback="tb", delay_s=delay_s, exception=error)
    return settle_for(outcome, raw, codec.decode(raw), options, SettlementRules(), 1.7e9, Random(1))


def by(**rules: Any) -> TaskOptions:
    return TaskOptions(**rules)


@pytest.mark.parametrize(
    ("error", "shortest", "longest"),
    [
        (RateLimitedError(), 50, 100),
        (GoneError(), 50, 100),  # a subclass
        (ConnectionError(), 500, 1000),
        (ConnectionResetError(), 500, 1000),
        (ValueError(), 0.5, 1),  # no match: the task's own
        (None, 0.5, 1),
    ],
)
def test_the_delay_is_that_of_the_policy_that_matches(error: Any, shortest: float, longest: float) -> None:
    found = settle(error, by(retry_by_error={RateLimitedError: LONG, ConnectionError: LONGER}))

    assert isinstance(found, Reschedule)
    assert shortest <= found.delay_s <= longest


def test_the_first_match_in_order_counts() -> None:
    narrow_first = by(retry_by_error={GoneError: None, RateLimitedError: LONG})
    wide_first = by(retry_by_error={RateLimitedError: LONG, GoneError: None})

    assert isinstance(settle(GoneError(), narrow_first), DeadLetter)
    assert isinstance(settle(GoneError(), wide_first), Reschedule)


def test_a_predicate_looks_into_the_exception() -> None:
    gone = by(retry_by_error={lambda error: getattr(error, "status", 0) == 410: None, Exception: LONG})

    assert isinstance(settle(GoneError(), gone), DeadLetter)
    assert isinstance(settle(RateLimitedError(), gone), Reschedule)


class Status:
    """A predicate that is an object."""

    def __init__(self, status: int) -> None:
        self._status = status

    def __call__(self, error: BaseException, offset: int = 0) -> bool:
        return getattr(error, "status", None) == self._status + offset


@pytest.mark.parametrize("predicate", [Status(410), Status(410).__call__, partial(Status(400), offset=10)])
def test_a_predicate_is_anything_that_can_be_called(predicate: Callable[[BaseException], bool]) -> None:
    options = by(retry_by_error={predicate: None})

    assert isinstance(settle(GoneError(), options), DeadLetter)
    assert isinstance(settle(RateLimitedError(), options), Reschedule)


def test_none_gives_up_at_once_and_keeps_what_happened() -> None:
    found = settle(ValueError(), by(max_attempts=9, retry_by_error={ValueError: None}), errors=[{"attempt": 0}])

    expected = {"id": "1", "name": "n", "attempt": 1, "error_type": "E", "error": "e", "traceback": "tb"}
    assert DeadLetter("discarded", expected) == found


@pytest.mark.parametrize(
    ("error", "attempt", "said_by_message", "again"),
    [
        (RateLimitedError(), 9, {}, True),
        (RateLimitedError(), 10, {}, False),
        (ValueError(), 2, {}, True),
        (ValueError(), 3, {}, False),
        (ValueError(), 9, {}, False),  # failed nine times as rate-limited: one more error of another kind is the last
        (ConnectionError(), 3, {}, False),  # matched by a policy that does not say how often
        (RateLimitedError(), 4, {"max_attempts": 5}, True),
        (RateLimitedError(), 5, {"max_attempts": 5}, False),  # the message's own number holds over all
        (ValueError(), 4, {"max_attempts": 5}, True),
    ],
)
def test_an_error_may_have_its_own_number_of_attempts(
    error: Exception, attempt: int, said_by_message: dict[str, int], again: bool
) -> None:
    options = by(retry_by_error={RateLimitedError: RetryPolicy(max_attempts=10), ConnectionError: LONG})
    found = settle(error, options, attempt=attempt, **said_by_message)

    assert again == isinstance(found, Reschedule)
    assert again or (isinstance(found, DeadLetter) and found.reason == "exhausted")


def test_what_a_handler_asks_for_holds_over_every_rule() -> None:
    never = by(retry_by_error={BaseException: None})

    asked = settle(None, never, Kind.RETRY_ASKED, delay_s=7.0)
    assert isinstance(asked, Reschedule)
    assert 7.0 == asked.delay_s
    assert isinstance(settle(None, never, Kind.SNOOZED, delay_s=7.0), Reschedule)


class UntruthfulError(Exception):
    """Its comparison has no truth, as that of an array."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


@pytest.mark.parametrize("fault", [ZeroDivisionError("x"), SystemExit(1), RecursionError()])
def test_a_predicate_that_raises_is_no_match_and_is_logged(
    fault: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(error: BaseException) -> bool:
        raise fault

    with caplog.at_level(logging.ERROR):
        found = settle(ValueError(), by(retry_by_error={broken: None, ValueError: LONG}))

    assert isinstance(found, Reschedule)
    assert ["retry_by_error: a predicate failed, no match"] == [record.message for record in caplog.records]
    assert "broken" in caplog.records[0].predicate  # type: ignore[attr-defined]


def test_an_answer_without_truth_is_no_match() -> None:
    returns_it: Callable[[BaseException], Any] = lambda error: error  # noqa: E731

    assert isinstance(settle(UntruthfulError(), by(retry_by_error={returns_it: None})), Reschedule)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, GeneratorExit])
def test_what_ends_the_process_passes_through_a_predicate(fault: type[BaseException]) -> None:
    def interrupted(error: BaseException) -> bool:
        raise fault

    with pytest.raises(fault):
        policy_for(ValueError(), {interrupted: None}, RetryPolicy())


async def awaited(error: BaseException) -> bool:
    return True


class Awaited:
    async def __call__(self, error: BaseException) -> bool:
        return True


def yielding(error: BaseException) -> Any:
    yield True


RULE = r"task option retry_by_error: expected as key an exception class or a predicate .*, found "


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({int: None}, RULE + "<class 'int'>"),
        ({"ValueError": None}, RULE + "'ValueError'"),
        ({ValueError(): None}, RULE + r"ValueError\(\)"),
        ({(ValueError, KeyError): None}, RULE),
        ({awaited: None}, RULE + "<function awaited"),
        ({yielding: None}, RULE + "<function yielding"),
        ({partial(awaited): None}, RULE + "functools.partial"),
        ({Awaited(): None}, RULE + ".*Awaited"),
        ({Retry: LONG}, RULE + ".*Retry"),
        ({Snooze: LONG}, RULE + ".*Snooze"),
        ({Discard: None}, RULE + ".*Discard"),
        ({ValueError: 5}, r"retry_by_error: expected for <class 'ValueError'> a RetryPolicy, or None .*, found 5"),
        ({ValueError: RetryPolicy}, r"expected for <class 'ValueError'> a RetryPolicy, or None .*, found <class"),
        (
            {KeyError: None, ValueError: False},
            r"expected for <class 'ValueError'> a RetryPolicy, or None .*found False",
        ),
        ([ValueError], r"retry_by_error: expected a mapping of errors to RetryPolicy or None, found \["),
        (None, "retry_by_error: expected a mapping of errors to RetryPolicy or None, found None"),
    ],
)
def test_a_wrong_rule_is_refused_with_a_sentence(given_: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        TaskOptions(retry_by_error=given_)


@pytest.mark.parametrize("attempts", [0, -1, 1.0, "3", True])
def test_a_wrong_number_of_attempts_is_refused(attempts: Any) -> None:
    sentence = "retry policy: expected max_attempts as a whole number from 1, or None, found "
    with pytest.raises(ConfigurationError, match=sentence):
        RetryPolicy(max_attempts=attempts)


def test_the_number_of_attempts_of_a_task_is_said_in_one_place() -> None:
    with pytest.raises(ConfigurationError, match="retry: expected a RetryPolicy without max_attempts, which is an"):
        TaskOptions(retry=RetryPolicy(max_attempts=5))


def test_rules_that_change_afterwards_change_nothing() -> None:
    given_: dict[Any, Any] = {ValueError: LONG}
    options = TaskOptions(retry_by_error=given_)
    given_.clear()

    assert {ValueError: LONG} == options.retry_by_error
    assert hash(options) == hash(TaskOptions())  # rules are no part of it: a mapping has none


CLASSES = [BaseException, Exception, LookupError, KeyError, IndexError, OSError, TimeoutError, ConnectionError]
policies = st.none() | st.builds(RetryPolicy, base_s=st.integers(0, 9), max_attempts=st.none() | st.integers(1, 9))
rules = st.lists(st.tuples(st.sampled_from(CLASSES), st.booleans(), policies), max_size=6)


@MANY
@given(rules, st.sampled_from(CLASSES))
def test_the_policy_is_that_of_the_first_rule_that_holds(
    rules: list[tuple[type[BaseException], bool, RetryPolicy | None]], raised: type[BaseException]
) -> None:
    default, given_ = RetryPolicy(base_s=77), dict[Any, RetryPolicy | None]()
    for kind, as_predicate, policy in rules:
        given_[(lambda error, kind=kind: isinstance(error, kind)) if as_predicate else kind] = policy

    in_order = [policy for kind, policy in kinds_of(given_, rules) if issubclass(raised, kind)]
    options = TaskOptions(retry_by_error=given_)
    assert [*in_order, default][0] == policy_for(raised(), options.retry_by_error, default)


def kinds_of(
    given_: Mapping[Any, RetryPolicy | None], rules: list[tuple[type[BaseException], bool, RetryPolicy | None]]
) -> list[tuple[type[BaseException], RetryPolicy | None]]:
    """Each rule's class with the policy that a mapping keeps for it: a class given twice has its first place."""
    asked = [(key if isinstance(key, type) else key.__defaults__[0], policy) for key, policy in given_.items()]
    assert len(asked) <= len(rules)
    return asked
