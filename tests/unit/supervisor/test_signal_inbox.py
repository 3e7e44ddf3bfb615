"""Signals become commands through the wake-up pipe, and everything is put back afterwards."""

import os
import select
import signal
from collections.abc import Iterator

import pytest

from asyncq.supervisor.signals import COMMANDS, Command, SignalInbox, dispositions, put_back


@pytest.fixture
def inbox() -> Iterator[SignalInbox]:
    opened = SignalInbox()
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("SIGTERM", Command.STOP),
        ("SIGINT", Command.STOP),
        ("SIGQUIT", Command.CANCEL),
        ("SIGCHLD", Command.REAP),
        ("SIGHUP", Command.IGNORE),
        ("SIGUSR1", Command.REOPEN),
        ("SIGUSR2", Command.DUMP),
        ("SIGTTIN", Command.IGNORE),
        ("SIGTSTP", Command.QUIET),
        ("SIGCONT", Command.RESUME),
    ],
)
def test_signal_becomes_a_command_when_it_arrives(inbox: SignalInbox, name: str, command: Command) -> None:
    assert inbox.commands() == []
    os.kill(os.getpid(), signal.Signals[name])
    assert select.select([inbox], [], [], 5)[0] == [inbox]
    assert inbox.commands() == [(command, signal.Signals[name])]
    assert inbox.commands() == []


def test_order_is_kept_when_several_signals_arrive(inbox: SignalInbox) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        os.kill(os.getpid(), number)
    assert [command for command, _ in inbox.commands()] == [Command.STOP, Command.IGNORE, Command.STOP]


def test_other_peoples_signals_are_left_alone(inbox: SignalInbox) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    try:
        os.kill(os.getpid(), signal.SIGALRM)
        assert inbox.commands() == []
        assert seen == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_handlers_are_put_back_when_the_inbox_closes() -> None:
    before = {number: signal.getsignal(number) for number in COMMANDS}
    opened = SignalInbox()
    assert all(signal.getsignal(number) != before[number] for number in COMMANDS)
    opened.close()
    assert {number: signal.getsignal(number) for number in COMMANDS} == before
    assert signal.set_wakeup_fd(-1) == -1


def test_no_signal_takes_the_place_of_the_exit_code_when_the_end_is_near() -> None:
    before = {number: signal.getsignal(number) for number in COMMANDS}
    opened = SignalInbox()
    opened.close(at_the_end=True)
    after = {number: signal.getsignal(number) for number in COMMANDS}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == dict.fromkeys(COMMANDS, signal.SIG_IGN) | {signal.SIGCHLD: before[signal.SIGCHLD]}


def test_what_an_app_does_about_signals_at_import_can_be_undone() -> None:
    before = dispositions()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    put_back(before)
    assert dispositions() == before
