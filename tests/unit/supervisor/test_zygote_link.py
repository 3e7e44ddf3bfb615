"""Orders to the zygote: one at a time, each with its descriptors, each answered whatever becomes of the zygote."""

import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest

from asyncq.supervisor.channel import Channel, channel_pair
from asyncq.supervisor.newborn import Order
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.slots import make_slots
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings
from asyncq.supervisor.zygote_link import ZygoteLink


class House:
    """A link whose zygote is this test."""

    def __init__(self) -> None:
        self.board = Scoreboard(3)
        specs = [ChildSpec("zygote", "x:y"), ChildSpec("worker", "x:y", count=2, from_zygote=True)]
        self.zygote, *self.workers = make_slots(specs, self.board, SupervisorSettings())
        self.forked: list[tuple[int, int]] = []
        self.refused: list[tuple[int, str]] = []
        self.orphaned: list[int] = []
        self.link = ZygoteLink(
            self.zygote,
            lambda slot, pid: self.forked.append((slot, pid)),
            lambda slot, reason: self.refused.append((slot, reason)),
            self.orphaned.append,
        )
        self.zygote.channel, self.far_end = channel_pair()
        self.ends: list[Channel] = []

    def order(self, number: int, **more: Any) -> Channel:
        """Have worker `number` forked; our end of its channel."""
        slot = self.workers[number]
        pid, end = self.link.spawn(Order(slot.spec, slot.index, 7, slot.page, **more))
        assert pid == 0, "the pid is told later"
        self.ends.append(end)
        return end

    def asked(self) -> list[tuple[dict[str, Any], list[int]]]:
        found = []
        while (one := self.far_end.receive_with(3)) is not None:
            found.append(one)
        return found


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    for channel in (house.zygote.channel, house.far_end, *house.ends):
        assert channel is not None
        channel.close()


def test_orders_go_one_at_a_time_and_the_next_when_one_is_answered(house: House) -> None:
    house.order(0)
    house.order(1)
    ((first, fds),) = house.asked()
    assert (first["type"], first["slot"], first["generation"], first["quiet"]) == ("fork", 1, 7, False)
    assert house.link.busy
    house.link.answered({"type": "forked", "seq": first["seq"], "pid": 41})
    assert house.forked == [(1, 41)]
    ((second, more),) = house.asked()
    house.link.answered({"type": "not_forked", "seq": second["seq"], "error": "no room"})
    assert house.refused == [(2, "no room")]
    assert not house.link.busy
    for fd in fds + more:
        os.close(fd)


def test_the_child_end_of_the_channel_arrives_and_the_arbiter_keeps_none(house: House) -> None:
    ours = house.order(0, crash={"cause": "killed by SIGSEGV"}, quiet=True)
    ((message, (fd,)),) = house.asked()
    assert (message["quiet"], message["crash"]) == (True, {"cause": "killed by SIGSEGV"})
    assert not os.get_inheritable(fd), "no program that a handler starts holds the channel open"
    theirs = Channel(fd)
    theirs.send({"type": "ready"})
    assert ours.receive() == {"type": "ready"}
    theirs.close()
    with pytest.raises(EOFError):
        ours.receive()


def test_black_box_and_captured_standard_error_go_along(house: House) -> None:
    box, captured = os.memfd_create("box"), os.memfd_create("captured")
    house.order(0, box_fd=box, captured_fd=captured)
    ((_, fds),) = house.asked()
    assert [os.fstat(fd).st_ino for fd in fds[1:]] == [os.fstat(fd).st_ino for fd in (box, captured)]
    for fd in (*fds, box, captured):
        os.close(fd)


def test_every_order_is_orphaned_when_the_zygote_dies_and_its_children_find_their_channel_closed(house: House) -> None:
    first, second = house.order(0), house.order(1)
    house.link.died()
    assert house.orphaned == [1, 2]
    assert not house.link.busy
    for message, fds in house.asked():  # what it had received and not carried out
        assert message["slot"] == 1
        for fd in fds:
            os.close(fd)
    for end in (first, second):
        with pytest.raises(EOFError):
            end.receive()


@pytest.mark.parametrize("seq", [None, 0, 2, "1"])
def test_an_answer_to_another_order_changes_nothing(house: House, seq: object) -> None:
    house.order(0)
    house.link.answered({"type": "forked", "seq": seq, "pid": 1})
    assert (house.forked, house.link.busy) == ([], True)
    for _, fds in house.asked():
        os.close(*fds)


def test_an_order_that_the_system_does_not_take_is_refused_and_the_next_one_goes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter([OSError(errno.ETOOMANYREFS, "too many references"), None, OSError(errno.ENOBUFS, "no room"), None])
    send = Channel.send_with

    def refusing(channel: Channel, message: dict[str, Any], fds: list[int]) -> None:
        if (refusal := next(refusals)) is not None:
            raise refusal
        send(channel, message, fds)

    monkeypatch.setattr(Channel, "send_with", refusing)
    with pytest.raises(OSError, match="too many references"):
        house.order(0)
    house.order(0)
    house.order(1)
    house.order(0)
    ((first, fds),) = house.asked()
    house.link.answered({"type": "forked", "seq": first["seq"], "pid": 41})
    ((third, more),) = house.asked()
    assert (house.refused, third["slot"]) == ([(2, "[Errno 105] no room")], 1)
    for fd in fds + more:
        os.close(fd)


def test_nothing_is_sent_to_a_zygote_whose_channel_is_closed(house: House) -> None:
    house.far_end.close()
    house.order(0)
    assert house.link.busy, "its death will be the answer"
    house.link.died()
    assert house.orphaned == [1]
