"""What systemd hears and when, on a real socket; time is what the tests say it is."""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.supervisor.events import AllReady, Degraded, Draining, GaveUp
from asyncq.supervisor.notices import Notices
from asyncq.supervisor.notify import Notifier, NotifyTarget, send
from asyncq.supervisor.status import Counts

WATCHDOG_S = 30.0
COUNTS = Counts(wanted=4, ready=4, present=4, tasks=0)


class Manager:
    """A service manager: whatever it was told since the last question."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self.address = address

    def heard(self) -> list[list[str]]:
        found = []
        try:
            while True:
                found.append(self._socket.recv(4096).decode().split("\n"))
        except BlockingIOError:
            return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(("@" if request.param == "abstract" else "") + str(tmp_path / "notify"))
    yield made
    made.close()


@dataclass
class Fleet:
    """What /livez would say."""

    ok: bool = True
    reason: str = "4 of 4 workers beat"

    def __call__(self) -> Fleet:
        return self


def notifier(manager: Manager, fleet: Fleet | None = None, watchdog_s: float = WATCHDOG_S) -> Notifier:
    return Notifier(NotifyTarget(manager.address, watchdog_s), fleet or Fleet())


def show(told: Notifier, text: str, now: float) -> None:
    told.status(text)
    told.pulse(now)


def extend(told: Notifier, now: float, left_s: float) -> None:
    told.extend(now, left_s)
    told.pulse(now)


def test_ready_is_said_once_with_the_status_and_the_first_beat(manager: Manager) -> None:
    told = notifier(manager)
    told.ready("4 of 4 workers ready")
    told.ready("4 of 4 workers ready")
    assert manager.heard() == [["READY=1", "STATUS=4 of 4 workers ready", "WATCHDOG=1"]]


def test_the_watchdog_is_fed_at_a_third_of_its_time_and_only_after_ready(manager: Manager) -> None:
    told = notifier(manager)
    told.pulse(90.0)
    assert (told.due_mono, manager.heard()) == (math.inf, [])
    told.ready("up")
    manager.heard()
    told.pulse(100.0)  # a moment later: the first beat was part of READY
    assert (told.due_mono, manager.heard()) == (110.0, [])
    told.pulse(109.9)
    assert manager.heard() == []
    told.pulse(110.0)
    assert (told.due_mono, manager.heard()) == (120.0, [["WATCHDOG=1"]])
    told.pulse(127.0)
    assert (told.due_mono, manager.heard()) == (137.0, [["WATCHDOG=1"]])


def test_without_a_watchdog_nobody_is_asked_and_nothing_is_due(manager: Manager) -> None:
    def nobody() -> Fleet:
        raise AssertionError("asked")

    told = Notifier(NotifyTarget(manager.address), nobody)
    told.ready("up")
    told.pulse(100.0)
    assert (told.due_mono, manager.heard()) == (math.inf, [["READY=1", "STATUS=up"]])


def test_a_fleet_that_does_not_live_is_not_vouched_for_and_the_reason_is_logged_once(
    manager: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fleet = Fleet()
    told = notifier(manager, fleet)
    told.ready("up")
    told.pulse(100.0)
    manager.heard()
    fleet.ok, fleet.reason = False, "no worker beat"
    told.pulse(110.0)
    told.pulse(told.due_mono)
    assert (told.due_mono, manager.heard()) == (112.0, [])  # asked again soon, and said as soon as it lives
    fleet.ok, fleet.reason = True, "1 of 4 workers beat"
    told.pulse(112.0)
    assert (told.due_mono, manager.heard()) == (122.0, [["WATCHDOG=1"]])
    said = [(record.levelname, record.getMessage(), record.__dict__["reason"]) for record in caplog.records]
    assert said == [
        ("ERROR", "watchdog is not fed", "no worker beat"),
        ("INFO", "watchdog is fed again", "1 of 4 workers beat"),
    ]


def test_a_status_is_told_when_it_changes_and_at_most_once_a_second(manager: Manager) -> None:
    told = notifier(manager, watchdog_s=0.0)
    show(told, "1 of 4 workers ready", 10.0)
    show(told, "2 of 4 workers ready", 10.2)
    show(told, "3 of 4 workers ready", 10.4)
    assert (told.due_mono, manager.heard()) == (11.0, [["STATUS=1 of 4 workers ready"]])
    told.pulse(11.0)
    show(told, "3 of 4 workers ready", 15.0)
    assert (told.due_mono, manager.heard()) == (math.inf, [["STATUS=3 of 4 workers ready"]])


def test_a_status_that_is_true_again_before_it_was_told_is_not_repeated(manager: Manager) -> None:
    told = notifier(manager, watchdog_s=0.0)
    for text, now in (("4 ready", 10.0), ("3 ready", 10.1), ("4 ready", 10.2), ("4 ready", 12.0)):
        show(told, text, now)
    assert manager.heard() == [["STATUS=4 ready"]]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("STATUS=gave up: no MAINPID=1", "gave up: no\nMAINPID=1"),
        ("STATUS=a\\udc80b", "a\udc80b"),
        ("STATUS=" + "x" * 500, "x" * 9000),
    ],
)
def test_a_status_is_one_line_of_a_length_that_a_datagram_has(manager: Manager, expected: str, text: str) -> None:
    show(notifier(manager), text, 0.0)
    assert manager.heard() == [[expected]]


def test_stopping_is_said_once_and_the_watchdog_is_fed_to_the_end(manager: Manager) -> None:
    told = notifier(manager)
    told.ready("up")
    told.pulse(100.0)
    manager.heard()
    told.stopping("draining")
    told.stopping("draining")
    assert manager.heard() == [["STOPPING=1", "STATUS=draining", "WATCHDOG=1"]]
    told.pulse(101.0)
    told.pulse(111.0)
    assert manager.heard() == [["WATCHDOG=1"]]


def test_stopping_before_the_first_full_set_feeds_no_watchdog(manager: Manager) -> None:
    told = notifier(manager)
    told.stopping("draining")
    told.pulse(1.0)
    told.pulse(1000.0)
    assert manager.heard() == [["STOPPING=1", "STATUS=draining"]]


def test_while_work_remains_the_time_left_and_a_margin_are_asked_for_every_two_seconds(manager: Manager) -> None:
    told = notifier(manager, watchdog_s=0.0)
    extend(told, 100.0, 28.0)
    assert (told.due_mono, manager.heard()) == (102.0, [["EXTEND_TIMEOUT_USEC=38000000"]])
    extend(told, 101.0, 27.0)
    assert manager.heard() == []
    extend(told, 102.0, 26.0)
    assert manager.heard() == [["EXTEND_TIMEOUT_USEC=36000000"]]
    extend(told, 104.0, -3.0)  # overdue, and still there
    assert manager.heard() == [["EXTEND_TIMEOUT_USEC=12000000"]]
    told.pulse(106.5)  # nobody said that work remains
    assert (told.due_mono, manager.heard()) == (math.inf, [])


def test_ready_that_nobody_took_is_said_again_a_second_later(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    told = Notifier(NotifyTarget(address, WATCHDOG_S), Fleet())
    told.ready("up")
    assert told.due_mono == -math.inf
    told.pulse(10.0)
    assert told.due_mono == 11.0
    manager = Manager(address)
    try:
        told.pulse(10.5)
        assert manager.heard() == []
        told.pulse(11.0)
        assert manager.heard() == [["READY=1", "STATUS=up", "WATCHDOG=1"]]
        assert told.due_mono == 21.0
    finally:
        manager.close()


def test_a_socket_without_room_keeps_nobody_waiting(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    try:
        while send(manager.address, ["STATUS=more"]):
            pass
        told = notifier(manager)
        told.ready("up")
        told.pulse(1.0)
        assert told.due_mono == 2.0
        manager.heard()
        told.pulse(2.0)
        assert manager.heard() == [["READY=1", "STATUS=up", "WATCHDOG=1"]]
    finally:
        manager.close()


def test_nothing_is_ever_due_when_nobody_listens() -> None:
    told = Notifier(NotifyTarget("", WATCHDOG_S), Fleet())
    told.ready("up")
    show(told, "3 of 4", 1.0)
    extend(told, 2.0, 20.0)
    told.stopping("draining")
    assert told.due_mono == math.inf


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(("ready", "stopping", "status", "extend", "pulse")), st.floats(0.0, 40.0)),
        max_size=30,
    ),
    address=st.sampled_from(("", "/no/such/socket")),
    lives=st.booleans(),
)
def test_after_a_pulse_the_next_one_lies_ahead(steps: list[tuple[str, float]], address: str, lives: bool) -> None:
    told, now = Notifier(NotifyTarget(address, WATCHDOG_S), Fleet(lives)), 0.0
    for what, amount in steps:
        match what:
            case "status":
                told.status(f"{amount}")
            case "extend":
                told.extend(now, amount)
            case "ready" | "stopping":
                getattr(told, what)(f"{amount}")
            case _:
                now += amount
        told.pulse(now)
        assert told.due_mono > now  # or the arbiter's loop would spin


class TestNotices:
    def test_readiness_counts_everybody_and_the_reason_to_give_up_stays(self, manager: Manager) -> None:
        heard: list[object] = []
        notices = Notices(heard.append, notifier(manager, watchdog_s=0.0))
        notices.show(Counts(wanted=4, ready=3, present=4, tasks=0), 1.0)
        notices.tell(AllReady())
        notices.tell(GaveUp(1, (), "workers die as soon as they start"))
        notices.tell(Draining("DRAIN"))
        notices.tell(Draining("CANCEL"), first=False)
        notices.show(Counts(wanted=4, ready=0, present=0, tasks=0, left_s=3.0), 5.0)
        assert manager.heard() == [
            ["STATUS=3 of 4 workers ready"],
            ["READY=1", "STATUS=4 of 4 workers ready"],
            ["STOPPING=1", "STATUS=gave up: workers die as soon as they start"],
        ]
        assert [type(event).__name__ for event in heard] == ["AllReady", "GaveUp", "Draining", "Draining"]

    def test_a_drain_asks_for_time_as_long_as_there_are_workers(self, manager: Manager) -> None:
        notices = Notices(None, notifier(manager, watchdog_s=0.0))
        notices.tell(Draining("DRAIN"))
        notices.show(Counts(wanted=4, ready=0, present=3, tasks=17, left_s=12.0, rest_s=15.0), 10.0)
        assert manager.heard() == [["STOPPING=1", "STATUS=draining"], ["EXTEND_TIMEOUT_USEC=37000000"]]
        assert notices.due_mono == 11.0
        notices.show(Counts(wanted=4, ready=0, present=3, tasks=16, left_s=11.0, rest_s=15.0), 11.0)
        notices.show(Counts(wanted=4, ready=0, present=0, tasks=0, left_s=1.0), 12.5)
        assert manager.heard() == [
            ["STATUS=draining: 3 workers, 16 tasks, 11 s left"],
            ["STATUS=draining: the workers are gone", "EXTEND_TIMEOUT_USEC=34500000"],
        ]

    def test_a_crash_loop_is_told_by_the_counts(self, manager: Manager) -> None:
        notices = Notices(None, notifier(manager, watchdog_s=0.0))
        notices.tell(Degraded(7, 60.0, 6, 45.0))
        notices.show(Counts(wanted=4, ready=0, present=1, tasks=0, deaths=7), 10.0)
        notices.show(COUNTS, 11.0)
        assert manager.heard() == [
            ["STATUS=crash loop suspected: 7 deaths, one worker at a time is tried; 0 of 4 workers ready"],
            ["STATUS=4 of 4 workers ready"],
        ]
