"""Messages between arbiter and child: whole, in order, never blocking."""

import os

import pytest

from asyncq.supervisor.channel import channel_pair


def test_messages_arrive_whole_and_in_order() -> None:
    ours, theirs = channel_pair()
    sent = [{"type": "reap", "seq": 1, "incarnations": [["ü", ["q"]]]}, {}, {"x": None}]
    for message in sent:
        ours.send(message)
    assert [theirs.receive() for _ in sent] == sent
    assert theirs.receive() is None
    ours.close()
    theirs.close()


@pytest.mark.parametrize("size", [32 * 1024 - 8, 32 * 1024, 65 * 1024, 3_000_000])
def test_message_arrives_when_it_is_larger_than_one_read_or_the_buffer(size: int) -> None:
    ours, theirs = channel_pair()
    message = {"x": "y" * size}
    ours.send(message)
    received = theirs.receive()
    while received is None:
        assert ours.unsent
        ours.flush()
        received = theirs.receive()
    assert received == message
    assert not ours.unsent
    ours.close()
    theirs.close()


def test_send_does_not_block_when_nobody_reads() -> None:
    ours, theirs = channel_pair()
    for number in range(2000):
        ours.send({"n": number, "pad": "x" * 1000})
    assert ours.unsent
    for number in range(2000):
        while (message := theirs.receive()) is None:
            ours.flush()
        assert message["n"] == number
    ours.close()
    theirs.close()


def test_end_is_told_when_the_other_side_is_gone() -> None:
    ours, theirs = channel_pair()
    ours.send({"last": "words"})
    ours.close()
    ours.close()
    assert ours.fileno() == -1
    assert theirs.receive() == {"last": "words"}
    with pytest.raises(EOFError, match="closed"):
        theirs.receive()
    with pytest.raises(BrokenPipeError):
        theirs.send({})
    theirs.close()


def test_end_is_told_when_the_other_side_died_with_unread_messages() -> None:
    ours, theirs = channel_pair()
    ours.send({"unread": 1})
    theirs.close()
    with pytest.raises(EOFError):
        ours.receive()
    ours.close()


@pytest.mark.parametrize("line", [b"[1]\n", b"nonsense\n", b"\xff\xfe\n"])
def test_next_message_can_be_read_when_one_is_not_understood(line: bytes) -> None:
    ours, theirs = channel_pair()
    os.write(ours.fileno(), line)
    ours.send({"good": 1})
    with pytest.raises(ValueError):
        theirs.receive()
    assert theirs.receive() == {"good": 1}
    ours.close()
    theirs.close()


def test_messages_pass_over_a_line_that_is_none_and_end_when_the_other_side_is_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, theirs = channel_pair()
    os.write(ours.fileno(), b'nonsense\n{"n":1}\n[]\n{"n":2}\n{"torn')
    assert list(theirs.messages("keeper")) == [{"n": 1}, {"n": 2}]
    assert [record.__dict__["role"] for record in caplog.records] == ["keeper", "keeper"]
    os.write(ours.fileno(), b'":3}\n{"n":4}\n{"half')
    ours.close()
    last = theirs.messages("keeper")
    assert [next(last), next(last)] == [{"torn": 3}, {"n": 4}]
    with pytest.raises(EOFError):
        next(last)
    theirs.close()


def test_descriptors_close_on_exec() -> None:
    ours, theirs = channel_pair()
    assert [os.get_inheritable(end.fileno()) for end in (ours, theirs)] == [False, False]
    ours.close()
    theirs.close()
