"""What makes a fork unsafe is named, and what is harmless is not."""

import asyncio
import os
import socket
import tempfile
import threading

import pytest

from asyncq.supervisor.descriptors import descriptors
from asyncq.supervisor.fork_safety import unsafe_things


@pytest.fixture
def found() -> set[str]:
    """Named before the test began: the test run itself is no zygote."""
    return set(unsafe_things(descriptors()))


def new(found: set[str], ours: set[int]) -> list[str]:
    return [thing for thing in unsafe_things(ours) if thing not in found]


@pytest.fixture
def ours() -> set[int]:
    return set(descriptors())


def test_thread_is_named_with_what_it_runs(found: set[str], ours: set[int]) -> None:
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait, name="poller")
    thread.start()
    assert new(found, ours) == ["thread 'poller' (threading.Event.wait)"]
    leave.set()
    thread.join()


def test_sockets_are_named_by_where_they_lead(found: set[str], ours: set[int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket():
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert sorted(new(found, ours)) == [
                f"socket at 127.0.0.1:{port}",
                f"socket to 127.0.0.1:{port}",
                "socket without a name",
            ]


def test_event_loop_is_named_by_its_class_and_an_epoll_of_nobody_as_such(found: set[str], ours: set[int]) -> None:
    loop = asyncio.new_event_loop()
    assert "event loop asyncio.unix_events._UnixSelectorEventLoop" in new(found, ours)
    loop.close()


def test_pipe_is_named_by_its_number(found: set[str], ours: set[int]) -> None:
    reader, writer = os.pipe()
    named = new(found, ours)
    inode = os.fstat(reader).st_ino
    assert named == [f"pipe:[{inode}] (descriptor {fd})" for fd in sorted((reader, writer))]
    os.close(reader)
    os.close(writer)


def test_file_is_harmless(found: set[str], ours: set[int]) -> None:
    with tempfile.TemporaryFile(), open(os.devnull):
        assert new(found, ours) == []
