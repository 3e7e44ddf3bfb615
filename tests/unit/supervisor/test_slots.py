"""A slot's process: what it is sent, and what is remembered of it when it is dead."""

import os
import signal

import pytest

from asyncq.supervisor.child import Spawned, Start, State, Tick
from asyncq.supervisor.events import ChildDied
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.slots import ManagedSlot, make_slots
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings


def slot_of() -> ManagedSlot:
    (slot,) = make_slots([ChildSpec("worker", "x:y")], Scoreboard(1), SupervisorSettings())
    slot.feed(Start(), 0.0)
    slot.feed(Tick(True), 0.0)
    assert slot.state is State.STARTING
    return slot


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: found.append(("kill", pid, number)))
    monkeypatch.setattr(os, "killpg", lambda pid, number: found.append(("killpg", pid, number)))
    return found


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_sent_while_there_is_no_process(sent: list[tuple[str, int, int]], number: signal.Signals) -> None:
    slot_of().send_signal(number)
    assert sent == [], "0 is our own process group"


def test_a_kill_goes_to_the_group_and_to_the_process_itself(sent: list[tuple[str, int, int]]) -> None:
    slot = slot_of()
    slot.feed(Spawned(4711), 0.0)
    slot.send_signal(signal.SIGKILL)
    assert sent == [("killpg", 4711, signal.SIGKILL), ("kill", 4711, signal.SIGKILL)], "it may not lead its group yet"


def test_the_last_lines_are_those_of_the_child_that_died_last() -> None:
    slot = slot_of()
    slot.remember(ChildDied("worker", 0, 1, "exit code 1", "boot", True, last_lines=("old news",)), 10.0)
    assert (slot.last_lines, slot.died_mono) == (("old news",), 10.0)
    slot.remember(ChildDied("worker", 0, 2, "exit code 1", "boot", True), 20.0)
    assert (slot.last_lines, slot.died_mono) == ((), 20.0)
