"""The shared memory: what is written is read, and a writer that dies in the middle leaves the value before."""

import random
import subprocess
import sys
import time
from typing import Any

import pytest

from asyncq.core.errors import ConfigurationError
from asyncq.supervisor.child import State
from asyncq.supervisor.page import Culprit, Text
from asyncq.supervisor.scoreboard import Scoreboard, SupervisorState


class DyingMemory:
    """Stands in for a writer's view of the memory: only the first `budget` bytes that it writes arrive."""

    def __init__(self, area: bytearray, budget: int) -> None:
        self._view = memoryview(area)
        self.budget = budget

    def store(self, start: int, raw: bytes) -> None:
        arriving = raw[: max(0, self.budget)]
        self._view[start : start + len(arriving)] = arriving
        self.budget -= len(raw)


class _Cells:
    def __init__(self, memory: DyingMemory, view: memoryview) -> None:
        self._memory, self._view = memory, view

    def __getitem__(self, cell: int) -> int:
        return self._view[cell]

    def __setitem__(self, cell: int, value: int) -> None:
        # An aligned 8-byte store happens or does not.
        if self._memory.budget >= 8:
            self._view[cell] = value
        self._memory.budget -= 8


class _Bytes:
    def __init__(self, memory: DyingMemory) -> None:
        self._memory = memory

    def __setitem__(self, where: slice, raw: bytes) -> None:
        self._memory.store(where.start, raw)


def dying_text(area: bytearray, budget: int) -> Text:
    text = Text(memoryview(area))
    memory = DyingMemory(area, budget)
    text._cells = _Cells(memory, text._cells)  # type: ignore[assignment]
    text._bytes = _Bytes(memory)  # type: ignore[assignment]
    return text


@pytest.mark.parametrize("earlier", [None, ["one"], ["one", "two"]])
def test_text_before_is_read_when_its_writer_dies_at_any_byte(earlier: list[str] | None) -> None:
    new = [["host:1:abc", ["q1", "q2"]]]
    whole_bytes = len('[["host:1:abc",["q1","q2"]]]') + 3 * 8
    for budget in range(whole_bytes + 1):
        area = bytearray(1024)
        for at in range(len(earlier or ())):
            Text(memoryview(area)).write((earlier or [])[: at + 1])
        dying_text(area, budget).write(new)
        expected = new if budget == whole_bytes else earlier
        assert Text(memoryview(area)).read() == expected
        # A successor goes on where the dead one stopped.
        Text(memoryview(area)).write(["after"])
        assert Text(memoryview(area)).read() == ["after"]


def test_text_is_none_after_a_bounded_time_when_the_memory_is_garbage() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(300):
        area = bytearray(rng.randbytes(1024))
        assert Text(memoryview(area)).read() is None


def test_text_is_refused_when_it_does_not_fit() -> None:
    text = Text(memoryview(bytearray(1024)))
    text.write(["kept"])
    with pytest.raises(ConfigurationError, match="needs 1004 bytes in the supervisor's memory, the limit is 492"):
        text.write("x" * 1002)
    assert text.read() == ["kept"]


# Anonymous memory is shared over a fork only; the test process itself never forks.
_RACE = """
import os, time
from asyncq.supervisor.scoreboard import Scoreboard
page = Scoreboard(1).page(0)
values = [[(f"host:1:{n}" * (1 + n % 7), [f"q{n}"] * (n % 5))] for n in range(50)]
allowed = [[], *values]
pid = os.fork()
if pid == 0:
    end, n = time.monotonic() + 0.5, 0
    while time.monotonic() < end:
        page.set_incarnations(values[n % 50])
        n += 1
    os._exit(0)
reads = 0
while os.waitpid(pid, os.WNOHANG) == (0, 0):
    assert page.incarnations in allowed, page.incarnations
    reads += 1
print(reads)
"""


def test_reader_never_sees_half_a_text_when_another_process_writes() -> None:
    done = subprocess.run([sys.executable, "-c", _RACE], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert int(done.stdout) > 100


def test_page_shows_what_the_child_wrote() -> None:
    board = Scoreboard(3)
    page = board.page(1)
    page.begin("worker", 1)
    page.set_process(4711, State.READY)
    page.set_load(7, 123)
    page.beat()
    page.set_redis_seen()
    page.set_taken()
    page.set_alone(True)
    page.set_incarnations([("h:1:a", ("q1", "q2")), ("h:1:b", ["q3"])])
    page.set_queues(["q1", "q2", "q3"])
    slot = board.snapshot(page.beat_ns + 2_000_000_000).slots[1]
    assert (slot.index, slot.role, slot.role_index, slot.pid) == (1, "worker", 1, 4711)
    assert slot.state is State.READY
    assert slot.beat_age_s == 2.0
    assert slot.redis_age_s is not None
    assert 1.9 < slot.redis_age_s <= 2.0 <= slot.state_age_s
    assert slot.take_age_s is not None
    assert 1.9 < slot.take_age_s <= slot.redis_age_s
    assert (slot.in_flight, slot.alone, page.own_hand) == (7, True, False)
    page.set_own_hand()
    assert (page.alone, page.own_hand) == (True, True)
    page.clear_incarnations()
    assert (page.in_flight, page.alone, page.own_hand) == (0, False, False)
    page.set_load(7, 123)
    page.set_incarnations([("h:1:a", ("q1", "q2")), ("h:1:b", ["q3"])])
    assert slot.queues == ("q1", "q2", "q3")
    assert (page.index, page.in_flight, page.settled) == (1, 7, 123)
    assert page.incarnations == [("h:1:a", ["q1", "q2"]), ("h:1:b", ["q3"])]


def test_state_age_counts_from_the_change_of_state() -> None:
    board = Scoreboard(1)
    page = board.page(0)

    def age_s(later_s: int) -> float:
        return board.snapshot(time.monotonic_ns() + later_s * 10**9).slots[0].state_age_s

    assert age_s(60) == 0.0
    for state in (State.BACKOFF, State.READY, State.DRAINING, State.EMPTY):
        page.set_process(0, State.FATAL)
        old_ns = page.state_since_ns
        page.set_process(0, state)
        assert page.state_since_ns > old_ns
        assert 60.0 <= age_s(60) < 70.0
        young_ns = page.state_since_ns
        page.set_process(7, state)
        assert page.state_since_ns == young_ns


def test_state_age_goes_on_when_a_start_fails_and_is_tried_again() -> None:
    page = Scoreboard(1).page(0)
    page.set_process(0, State.BACKOFF)
    since_ns = page.state_since_ns
    for state in (State.STARTING, State.BACKOFF, State.STARTING):
        page.set_process(0, state)
    assert page.state_since_ns == since_ns
    page.set_process(7, State.READY)
    assert page.state_since_ns > since_ns


def test_neighbours_are_untouched_when_a_page_is_filled() -> None:
    board = Scoreboard(3)
    before = (board.snapshot(1).slots[0], board.snapshot(1).slots[2], board.snapshot(1).supervisor)
    page = board.page(1)
    for _ in range(2):
        page.set_incarnations([("w" * 3900, [])])
        page.set_queues(["q" * 3900])
        page.set_culprit(**{**CULPRIT, "task": "t" * 1900})
    page.set_load(2**64 - 1, 2**64 - 1)
    after = board.snapshot(1)
    assert (after.slots[0], after.slots[2], after.supervisor) == before


def test_page_starts_empty_when_a_new_child_begins() -> None:
    board = Scoreboard(1)
    page = board.page(0)
    page.begin("worker", 0)
    page.set_load(7, 123)
    page.beat()
    page.set_redis_seen()
    page.set_taken()
    page.set_alone(True)
    page.set_excused(True)
    page.set_incarnations([("h:1:a", ["q"])])
    version = page.incarnations_version
    page.begin("worker", 0)
    slot = board.snapshot().slots[0]
    assert (page.in_flight, page.settled, page.incarnations) == (0, 0, [])
    assert (slot.beat_age_s, slot.redis_age_s, slot.take_age_s, slot.alone) == (None, None, None, False)
    assert not slot.excused
    assert page.incarnations_version > version


CULPRIT: dict[str, Any] = {
    "activity": "consumer 3", "task": "mail:send", "id_": "m-1", "queue": "q", "wid": "h:1:a", "token": -3, "ran_s": 2.5
}  # fmt: skip


def test_culprit_holds_until_the_next_beat() -> None:
    page = Scoreboard(1).page(0)
    assert page.culprit is None
    page.begin("worker", 0)
    assert page.culprit is None
    page.beat()
    page.set_culprit(**CULPRIT)
    assert page.culprit == Culprit(
        activity="consumer 3", task="mail:send", id="m-1", queue="q", wid="h:1:a", token=-3, ran_s=2.5
    )
    page.beat()
    assert page.culprit is None
    page.set_culprit(**CULPRIT)
    assert page.culprit is not None
    page.begin("worker", 0)
    assert page.culprit is None


def test_unused_slot_is_legible() -> None:
    slot = Scoreboard(1).snapshot().slots[0]
    assert (slot.role, slot.pid, slot.state, slot.state_age_s) == ("", 0, State.EMPTY, 0.0)
    assert slot.queues == ()


def test_age_is_zero_when_the_beat_is_younger_than_the_reader() -> None:
    board = Scoreboard(1)
    board.page(0).beat()
    assert board.snapshot(1).slots[0].beat_age_s == 0.0


def test_supervisor_page_shows_state_and_restarts() -> None:
    board = Scoreboard(1)
    page = board.supervisor
    page.begin(4)
    for reason in ("crash", "killed", "killed", "boot"):
        page.count_restart(reason)
    page.set_state(SupervisorState.DEGRADED)
    seen = board.snapshot().supervisor
    assert (seen.wanted, seen.state, seen.complete) == (4, SupervisorState.DEGRADED, False)
    assert dict(seen.restarts) == {"crash": 1, "killed": 2, "boot": 1, "external": 0, "hang": 0, "oom": 0}
    assert seen.beat_age_s is not None
    page.set_complete()
    assert board.snapshot().supervisor.complete


def test_scoreboard_is_refused_when_it_has_no_slots() -> None:
    with pytest.raises(ConfigurationError, match="at least one slot, found 0"):
        Scoreboard(0)
