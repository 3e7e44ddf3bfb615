"""What wakes the arbiter: every message is heard at once, and what waits is sent as soon as there is room."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from asyncq.supervisor.channel import Channel, channel_pair
from asyncq.supervisor.policy import Exit
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.slots import ManagedSlot, make_slots
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings
from asyncq.supervisor.watch import Watch


class QuietInbox:
    """Stands in for the inbox of signals: a pipe into which nobody writes."""

    def __init__(self) -> None:
        self.ends = os.pipe()

    def fileno(self) -> int:
        return self.ends[0]


class House:
    """A watch over one slot whose child is this test: nobody is forked, and nobody ends."""

    def __init__(self) -> None:
        (self.slot,) = make_slots([ChildSpec("keeper", "x:y")], Scoreboard(1), SupervisorSettings())
        self.slot.channel, self.child_end = channel_pair()
        self.heard: list[dict[str, Any]] = []
        self.inbox = QuietInbox()
        self.watch = Watch(self.inbox, self._no_signal, self._hear, self._no_end)  # type: ignore[arg-type]
        self.watch.listen(self.slot)
        assert self.watch.add(self.slot, os.getpid()) is None

    def say(self, raw: bytes) -> None:
        os.write(self.child_end.fileno(), raw)

    def _hear(self, slot: ManagedSlot, message: dict[str, Any]) -> None:
        assert slot is self.slot
        self.heard.append(message)

    def _no_signal(self) -> None:
        raise AssertionError("nobody sent a signal")

    def _no_end(self, slot: ManagedSlot, end: Exit) -> None:
        raise AssertionError("nobody ended")


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.watch.close()
    house.slot.forget_process()
    house.child_end.close()
    for fd in house.inbox.ends:
        os.close(fd)


def channel_of(slot: ManagedSlot) -> Channel | None:
    return slot.channel


@pytest.mark.parametrize("bad", [b"nonsense\n", b"[1]\n", b"\n", b"\xff\xfe\n", b"{\nnonsense\n"])
def test_messages_after_a_line_that_is_none_are_heard_at_once(
    house: House, caplog: pytest.LogCaptureFixture, bad: bytes
) -> None:
    house.say(b'{"n":1}\n' + bad + b'{"n":2}\n{"n":3}\n')
    house.watch.wait(5.0)
    assert house.heard == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert len(caplog.records) == bad.count(b"\n")
    assert {(record.getMessage(), record.__dict__["role"]) for record in caplog.records} == {
        ("message not understood", "keeper")
    }


def test_message_is_heard_when_its_end_comes_later(house: House) -> None:
    house.say(b'{"n"')
    house.watch.wait(5.0)
    assert house.heard == []
    house.say(b":1}\n")
    house.watch.wait(5.0)
    assert house.heard == [{"n": 1}]


def test_message_larger_than_the_buffer_is_sent_as_there_is_room(house: House) -> None:
    message = {"x": "y" * 3_000_000}
    house.slot.send(message)
    while (received := house.child_end.receive()) is None:
        house.watch.wait(5.0)
    assert received == message
    house.say(b"{}\n")
    house.watch.wait(5.0)
    assert house.slot.writing is False


def test_last_words_are_heard_when_the_child_hung_up_with_messages_unread(house: House) -> None:
    house.slot.send({"x": "y" * 3_000_000})
    house.say(b'{"last":"words"}\n')
    house.child_end.close()
    house.watch.wait(5.0)
    assert house.heard == [{"last": "words"}]
    assert channel_of(house.slot) is None


def test_child_that_hung_up_wakes_nobody_any_more(house: House) -> None:
    house.child_end.close()
    house.watch.wait(5.0)
    assert channel_of(house.slot) is None
    assert house.watch._selector.select(0) == []
