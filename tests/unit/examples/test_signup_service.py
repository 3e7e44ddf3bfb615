"""What both services share: the event for a new user, and what is said about wrong requests."""

from uuid import UUID

import pytest
from pydantic import ValidationError

from asyncq.core.errors import BrokerRefusedError, BrokerUnavailableError, OutcomeUnknownError
from examples.signup.event import EMAIL_PATTERN, problem_with
from examples.signup.service import Signup, event_of, not_accepted, said

ADA = {"email": "ada@example.com", "name": "Ada"}


def test_event_has_ids_a_time_and_every_field_when_made():
    event = event_of(Signup(**ADA, utm={"source": "feed"}), now_s=1_740_989_700.9)

    assert problem_with(event) is None
    assert UUID(event.pop("event_id")).version == 4
    assert event.pop("user_id").startswith("u")
    assert event == {
        **ADA,
        "plan": "free",
        "company": None,
        "source": "direct",
        "utm": {"source": "feed"},
        "referrer": None,
        "locale": "en",
        "marketing": False,
        "signed_up_at": "2025-03-03T08:15:00Z",
    }


def test_ids_differ_when_a_user_signs_up_twice():
    first, second = (event_of(Signup(**ADA), now_s=0) for _ in range(2))

    assert first["event_id"] != second["event_id"]
    assert first["user_id"] != second["user_id"]


def test_largest_event_is_far_below_the_limit_of_messages_when_every_field_is_full():
    longest = "𝕏" * 200
    utm = {f"{number:02}{longest[2:]}": longest for number in range(20)}
    fields = dict.fromkeys(("name", "company", "source", "referrer", "locale"), longest)

    event = event_of(Signup(email="a@example.com", utm=utm, **fields), now_s=0)

    assert len(str(event).encode()) < 64 * 1024


def test_field_and_reason_are_said_without_the_value_when_a_field_is_wrong():
    with pytest.raises(ValidationError) as caught:
        Signup(email="hunter2", name="")

    assert said(caught.value.errors()) == [
        {"type": "string_pattern_mismatch", "loc": ("email",), "msg": f"String should match pattern '{EMAIL_PATTERN}'"},
        {"type": "string_too_short", "loc": ("name",), "msg": "String should have at least 1 character"},
    ]
    assert "hunter2" not in str(said(caught.value.errors()))


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        ("The sign-up could not be confirmed: Redis did not answer in time.", OutcomeUnknownError("lost")),
        ("The sign-up was not accepted, please try again later: it is away", BrokerUnavailableError("it is away")),
        ("The sign-up was not accepted, please try again later: no rights", BrokerRefusedError("no rights")),
    ],
)
def test_user_learns_whether_trying_again_is_safe_when_redis_fails(expected, error):
    assert not_accepted(error) == expected
