"""What the hostile generator calls bad is bad for the reason that it says, and what it calls odd is good."""

import random

import orjson
import pytest

from asyncq.core import codec
from asyncq.core.errors import MessageDecodeError
from tests.chaos import hostile


@pytest.mark.parametrize("kind", hostile.KINDS, ids=lambda kind: kind.__name__)
def test_the_bad_are_bad_for_the_reason_said(kind: object) -> None:
    rng = random.Random(f"{random.random()}")
    for _ in range(100):
        raw, reason = kind(rng)  # type: ignore[operator]
        assert (len(raw) > hostile.LARGEST_BYTES) == (reason == "oversized"), raw[:200]
        if reason == "malformed":
            with pytest.raises(MessageDecodeError):
                codec.decode(raw)
        else:
            assert codec.decode(raw).name


def test_the_odd_are_messages_for_the_task_work() -> None:
    rng = random.Random(f"{random.random()}")
    for number in range(500):
        message = codec.decode(hostile.odd(rng, number))
        assert ("work", number) == (message.name, message.payload["n"])


def test_no_two_bad_ones_are_alike() -> None:
    rng = random.Random(f"{random.random()}")
    made = {hostile.bad(rng)[0] for _ in range(500)}

    assert len(made) > 400
    assert len({orjson.dumps(raw[:10].hex()) for raw in made}) > 20
