"""What a producer is told when a push fails."""

import pytest

from asyncq.broker.failures import ReplyLostError
from asyncq.broker.pushes import Chunk, push_error
from asyncq.core.errors import BrokerError, BrokerRefusedError, BrokerUnavailableError, OutcomeUnknownError


def chunk(count: int = 1000, *, safe: bool = False) -> Chunk:
    return Chunk(("RPUSH",), "q", count, safe)


@pytest.mark.parametrize("error", [BrokerUnavailableError("away"), BrokerRefusedError("no")])
def test_error_is_passed_on_when_nothing_was_accepted(error: BrokerError) -> None:
    assert push_error(error, chunk(), 0, 2500) is error


@pytest.mark.parametrize("error", [BrokerUnavailableError("away"), BrokerRefusedError("no")])
def test_error_says_which_to_push_again_when_a_part_was_accepted(error: BrokerError) -> None:
    told = push_error(error, chunk(), 1000, 2500)
    assert isinstance(told, OutcomeUnknownError)
    sentence = f"queue 'q': only the first 1000 of 2500 messages were accepted: {error}; push the rest again"
    assert str(told) == sentence


@pytest.mark.parametrize(("pushed", "unknown"), [(0, 1000), (1000, 1000), (2000, 500)])
def test_fate_of_one_command_is_unknown_when_its_reply_was_lost(pushed: int, unknown: int) -> None:
    told = push_error(ReplyLostError("cut"), chunk(unknown), pushed, 2500)
    assert isinstance(told, OutcomeUnknownError)
    known = f"queue 'q': {pushed} of 2500 messages were accepted, the fate of the next {unknown} is unknown: "
    assert str(told).startswith(known)
