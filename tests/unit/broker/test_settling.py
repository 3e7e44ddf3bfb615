"""From settlements to commands."""

import math

import pytest

from asyncq.broker.keys import queue_keys
from asyncq.broker.scripts import script
from asyncq.broker.settling import DeadLetterLimits, delay_ms, popped_command, settlement_command
from asyncq.core.settlement import COMPLETE, RELEASE, DeadLetter, Reschedule

KEYS = queue_keys("q")
LIMITS = DeadLetterLimits(count=5, keep_s=1.5)
INFLIGHT = KEYS.inflight("w:1:a")


@pytest.mark.parametrize(
    ("delay_s", "expected_ms"),
    [
        (1.5, 1500),
        (0.0004, 0),
        (0, 0),
        (-3, 0),
        (math.nan, 0),
        (math.inf, 316_224_000_000),
    ],
)
def test_delay_is_a_sane_number_of_milliseconds_when_a_handler_asks_for_anything(
    delay_s: float, expected_ms: int
) -> None:
    assert delay_ms(delay_s) == expected_ms


def test_each_settlement_is_fenced_by_its_token_when_it_belongs_to_an_incarnation() -> None:
    commands = [
        settlement_command(KEYS, "w:1:a", 7, b"raw", settlement, LIMITS)
        for settlement in (COMPLETE, RELEASE, Reschedule(2.0, b"new"), DeadLetter("expired", {"name": "n"}))
    ]
    due = (INFLIGHT, KEYS.scheduled, KEYS.payloads, KEYS.due)
    dead = (INFLIGHT, KEYS.dead, KEYS.dead_records)
    assert commands == [
        ("HDEL", INFLIGHT, 7),
        ("EVALSHA", script("settle_release").sha, 2, INFLIGHT, "q", 7, b"raw"),
        ("EVALSHA", script("settle_reschedule").sha, 4, *due, 7, "w:1:a:7", 2000, b"new"),
        (
            "EVALSHA",
            script("settle_dead").sha,
            3,
            *dead,
            7,
            "w:1:a:7",
            b'{"name":"n","reason":"expired"}',
            b"raw",
            5,
            1500,
        ),
    ]


def test_nothing_is_fenced_when_the_message_was_popped() -> None:
    command = popped_command(KEYS, "u", b"raw", RELEASE, LIMITS)
    assert command is not None
    assert command[-2:] == ("", b"raw")
    assert popped_command(KEYS, "u", b"raw", COMPLETE, LIMITS) is None
