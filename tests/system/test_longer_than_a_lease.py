"""Delays, tasks and drains that last longer than a lease: a lease is of the process, and is renewed to its end."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from asyncq import SyncClient
from asyncq.core.envelope import Envelope
from tests.support.fleet import Fleet, message
from tests.support.states import wait_until

LEASE_S = 1.0
# Others reap what was silent for a lease and six samples a second apart.
REAPED_S = LEASE_S + 6.0

Start = Callable[[str], Fleet]


@pytest.fixture
def start(tmp_path: Path, redis_url: str) -> Iterator[Start]:
    """`start("a")`: one more supervisor, in a folder of its own."""
    fleets: list[Fleet] = []

    def begin(name: str) -> Fleet:
        folder = tmp_path / name
        folder.mkdir()
        flags = ("--lease", f"{LEASE_S:g}", "--procs", "1", "--per-proc", "5", "--drain-timeout", "30")
        fleets.append(Fleet(folder, redis_url, *flags).ready())
        return fleets[-1]

    yield begin
    for fleet in fleets:
        fleet.end()


def test_a_message_that_waits_longer_than_a_lease_is_in_nobodys_hands_and_runs_once(
    raw_redis: redis.Redis, redis_url: str, start: Start
) -> None:
    delay_s = 2.5 * LEASE_S
    fleet = start("a")
    with SyncClient(redis_url) as client:
        fields = {"id": "later", "name": "note", "payload": {"n": 1}, "timestamp": time.time()}
        client.enqueue(Envelope("task_queue", fields, delay_s=delay_s))
        asked_at = time.time()
    held: set[bytes] = set()

    def ran() -> bool:
        held.update(raw_redis.keys("asyncq:*:inflight:*"))
        return bool(fleet.ran("note"))

    wait_until(lambda: ran() or time.time() > asked_at + delay_s - 0.1)
    assert (held, fleet.ran("note")) == (set(), [])
    wait_until(ran)
    assert fleet.stop() == 0
    ((row),) = fleet.ran("note")
    assert asked_at + delay_s - 0.05 <= row["at"] <= asked_at + delay_s + 1.0


def test_a_task_longer_than_lease_and_observation_runs_once_through_a_drain_that_is_too(
    raw_redis: redis.Redis, start: Start
) -> None:
    raw_redis.rpush("task_queue", message("hold", 1, sleep=REAPED_S + 2.0))
    fleet = start("a")
    wait_until(lambda: fleet.ran("hold"))
    other = start("b")
    fleet.process.send_signal(signal.SIGTERM)
    wait_until(lambda: fleet.events("draining"))
    assert fleet.process.wait(60) == 0
    assert (len(fleet.ran("hold")), len(fleet.ran("held"))) == (1, 1)
    assert other.stop() == 0
    assert (other.ran("hold"), other.events("reaped")) == ([], [])
    assert raw_redis.llen("task_queue") == 0
