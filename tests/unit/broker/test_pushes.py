"""From messages to commands: when each is to be ready, and what goes in one command."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.broker.pushes import Push, chunks, when
from asyncq.client.packing import pack
from asyncq.core.envelope import Envelope, create_task
from tests.support.properties import MANY

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("delay_s", "expected"), [(0, "+0"), (0.0004, "+0"), (1.5, "+1500"), (60, "+60000")])
def test_a_delay_counts_from_redis_now(delay_s: float, expected: str) -> None:
    assert expected == when(delay_s)


@pytest.mark.parametrize(
    ("eta", "expected"),
    [
        (datetime(2033, 5, 18, 3, 33, 20, tzinfo=UTC), "2000000000000"),
        (datetime(2033, 5, 18, 3, 33, 20, 123_000, tzinfo=UTC), "2000000000123"),
        (datetime(2033, 5, 18, 3, 33, 20, 123_001, tzinfo=UTC), "2000000000124"),  # never earlier than asked
        (datetime(2033, 5, 18, 5, 33, 20, tzinfo=timezone(timedelta(hours=2))), "2000000000000"),
        (EPOCH, "0"),
        (datetime(1, 1, 1, tzinfo=UTC), "-62135596800000"),
    ],
)
def test_a_time_is_the_same_for_everybody(eta: datetime, expected: str) -> None:
    assert expected == when(eta=eta)


@MANY
@given(st.datetimes(timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))))
def test_a_time_is_met_to_the_millisecond_and_never_early(eta: datetime) -> None:
    early = timedelta(milliseconds=int(when(eta=eta))) - (eta - EPOCH)

    assert timedelta(0) <= early < timedelta(milliseconds=1)


def envelope(**how: object) -> Envelope:
    return Envelope("q", create_task("n", 0), **how)  # type: ignore[arg-type]


def test_messages_with_different_times_go_in_one_command() -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    plain = [envelope() for _ in range(3)]
    waiting = [envelope(delay_s=number) for number in range(1, 500)] + [envelope(eta=later) for _ in range(500)]

    pushes = pack([*waiting, *plain], 10_000)

    assert [("EVALSHA", 999), ("RPUSH", 3)] == [(chunk.command[0], chunk.count) for p in pushes for chunk in chunks(p)]
    assert [f"+{number}000" for number in range(1, 500)] + [when(eta=later)] * 500 == pushes[0].whens


def test_what_is_due_at_the_same_time_comes_up_in_the_order_in_which_it_was_enqueued() -> None:
    raws = [b"%d" % number for number in range(2500)]
    found = [part for chunk in chunks(Push("q", raws, whens=["1"] * 2500)) for part in chunk.command[8:]]
    names = dict(zip(found[0::3], found[2::3], strict=True))

    assert raws == [names[name] for name in sorted(names)]
