"""Options for any value: what is accepted works in every settlement, what is not is refused with one sentence."""

import math
import sys
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncq.core import codec
from asyncq.core.errors import ConfigurationError
from asyncq.core.options import TaskOptions
from asyncq.core.outcome import Kind, Outcome
from asyncq.core.retry import RetryPolicy
from asyncq.core.settlement import Reschedule, SettlementRules, settle_for
from tests.support.properties import MANY

LARGEST = sys.float_info.max
RAW = b'{"id":"1","name":"n","payload":0,"timestamp":1.5}'


seconds = st.integers(0, int(LARGEST)) | st.floats(0, allow_infinity=False)
signs = st.text("abzAZ09_.:-", max_size=40)
queues = st.one_of(
    st.tuples(signs.filter(lambda text: text and not text.startswith("asyncq:"))).map("".join),
    st.tuples(signs.filter(lambda text: not text.startswith("asyncq:")), signs.filter(bool), signs).map(
        lambda parts: f"{parts[0]}{{{parts[1]}}}{parts[2]}"
    ),
)
options = st.builds(
    TaskOptions,
    queue=st.none() | queues,
    max_attempts=st.integers(1, 10**400),
    timeout_s=seconds,
    retry=st.builds(RetryPolicy, base_s=seconds, cap_s=seconds),
    retry_by_error=st.dictionaries(
        st.sampled_from([KeyError, ValueError, Exception, lambda error: True, lambda error: 1 / 0]),
        st.none() | st.builds(RetryPolicy, base_s=seconds, cap_s=seconds, max_attempts=st.none() | st.integers(1)),
    ),
)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=200),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.sampled_from([10**400, -(10**400), 10**5000, -(10**5000), [10**5000], RetryPolicy, 1j, "q" * 10**6]),
)


@MANY
@given(options, st.sampled_from(Kind), st.none() | st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_accepted_works_in_every_settlement(given_: TaskOptions, kind: Kind, delay_s: float | None) -> None:
    outcome = Outcome(kind=kind, error="no", delay_s=delay_s, exception=ValueError("no"))

    found = settle_for(outcome, RAW, codec.decode(RAW), given_, SettlementRules(), 1.7e9, Random(1))

    if isinstance(found, Reschedule):
        assert math.isfinite(found.delay_s)


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and -LARGEST <= value <= LARGEST


GOOD = {
    "max_attempts": lambda value: type(value) is int and value >= 1,
    "timeout_s": lambda value: is_number(value) and value >= 0,
    "retry": lambda value: type(value) is RetryPolicy,
    "retry_by_error": lambda value: type(value) is dict,
}


@MANY
@given(st.sampled_from(sorted(GOOD)), anything)
@example("timeout_s", 10**5000)
@example("max_attempts", -(10**5000))
def test_what_is_wrong_is_refused_with_a_short_sentence(option: str, value: Any) -> None:
    """Regression: an integer of more than 4,300 digits has no repr, so another error than ours came out."""
    if GOOD[option](value):
        assert value == getattr(TaskOptions(**{option: value}), option)
        return

    with pytest.raises(ConfigurationError, match=f"^task option {option}: expected .*, found (.|\n)") as caught:
        TaskOptions(**{option: value})
    assert len(str(caught.value)) < 400


@MANY
@given(anything)
def test_a_queue_is_a_legal_name_or_refused(value: Any) -> None:
    signs = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-")
    if value is None or (isinstance(value, str) and 1 <= len(value) <= 128 and set(value) <= signs):
        assert value == TaskOptions(queue=value).queue
    elif not isinstance(value, str) or not set("{}") <= set(value):
        with pytest.raises(ConfigurationError, match="queue"):
            TaskOptions(queue=value)


@MANY
@given(st.sampled_from(["base_s", "cap_s"]), anything)
@example("base_s", 10**5000)
def test_a_retry_policy_is_of_seconds_or_refused(option: str, value: Any) -> None:
    if is_number(value) and value >= 0:
        assert value == getattr(RetryPolicy(**{option: value}), option)
        return

    with pytest.raises(ConfigurationError, match=r"^retry policy: expected base_s and cap_s from 0 .*, found "):
        RetryPolicy(**{option: value})


class Unspeakable:
    """Has no repr."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize("option", ["queue", "max_attempts", "timeout_s", "retry", "retry_by_error"])
def test_what_has_no_repr_is_refused_by_its_type(option: str) -> None:
    with pytest.raises(ConfigurationError, match="found Unspeakable that cannot be written"):
        TaskOptions(**{option: Unspeakable()})  # type: ignore[arg-type]
