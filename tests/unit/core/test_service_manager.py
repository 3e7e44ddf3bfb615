"""What a service manager leaves in the environment is read once, and is nobody else's."""

import os

import pytest

from asyncq.core.environment import ServiceManager, claim_service_manager

SOCKET = {"NOTIFY_SOCKET": "/run/notify"}


@pytest.mark.parametrize(
    ("expected", "environ"),
    [
        (ServiceManager(), {}),
        (ServiceManager("/run/notify"), SOCKET),
        (ServiceManager("@abstract"), {"NOTIFY_SOCKET": "@abstract"}),
        (ServiceManager("/run/notify", 30.0), SOCKET | {"WATCHDOG_USEC": "30000000"}),
        (ServiceManager("/run/notify", 0.5), SOCKET | {"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}),
        (ServiceManager("/run/notify"), SOCKET | {"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}),
        (ServiceManager("/run/notify"), SOCKET | {"WATCHDOG_USEC": "0", "WATCHDOG_PID": "7"}),
        (ServiceManager("/run/notify"), SOCKET | {"WATCHDOG_USEC": "soon"}),
        (ServiceManager("/run/notify"), SOCKET | {"WATCHDOG_USEC": "-5"}),
    ],
)
def test_a_watchdog_is_fed_only_by_whom_it_is_meant_for(expected: ServiceManager, environ: dict[str, str]) -> None:
    assert claim_service_manager(environ | {"PATH": "/bin"}, pid=7) == expected


def test_what_was_read_is_gone_and_the_rest_is_not() -> None:
    environ = SOCKET | {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "8", "PATH": "/bin"}
    claim_service_manager(environ, pid=7)
    assert environ == {"PATH": "/bin"}


def test_a_program_that_a_handler_runs_cannot_speak_for_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SOCKET | {"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": str(os.getpid())}).items():
        monkeypatch.setenv(name, value)
    assert claim_service_manager() == ServiceManager("/run/notify", 5.0)
    assert not os.environ.keys() & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
