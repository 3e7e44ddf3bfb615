"""systemd hears READY and STOPPING, and a missing socket is no error."""

import socket
from pathlib import Path

from asyncq.supervisor.events import AllReady, Draining, GaveUp
from asyncq.supervisor.notices import Notices
from asyncq.supervisor.notify import Notifier


def test_systemd_is_told_when_all_are_ready_and_once_when_it_stops(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(5)
        heard: list[object] = []
        notices = Notices(heard.append, path)
        notices.tell(AllReady())
        assert listener.recv(4096) == b"READY=1\nSTATUS=all children ready"
        notices.tell(Draining("DRAIN"))
        notices.tell(Draining("CANCEL"), first=False)
        notices.tell(GaveUp(1, (), ""))
        assert listener.recv(4096) == b"STOPPING=1\nSTATUS=draining"
        listener.setblocking(False)
        try:
            extra = listener.recv(4096)
        except BlockingIOError:
            extra = b""
        assert extra == b""
        assert heard == [AllReady(), Draining("DRAIN"), Draining("CANCEL"), GaveUp(1, (), "")]


def test_abstract_socket_is_reached_when_the_address_starts_with_at(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + str(tmp_path))
        listener.settimeout(5)
        Notifier("@" + str(tmp_path)).send("READY=1")
        assert listener.recv(4096) == b"READY=1"


def test_nothing_happens_when_nobody_listens(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "nobody")).send("READY=1")
    Notifier("").send("READY=1")
