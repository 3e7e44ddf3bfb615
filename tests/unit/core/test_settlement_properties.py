"""Settlement for any outcome, message and options: total, counts once, leaves what is not asyncq's untouched."""

import json
from random import Random

from asyncq.core import codec
from asyncq.core.options import TaskOptions
from asyncq.core.outcome import Kind, Outcome
from asyncq.core.settlement import Reschedule, Settlement, SettlementRules, settle_for

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
