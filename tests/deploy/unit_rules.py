"""Reads a systemd unit strictly, and says what is wrong with it for asyncq.

`problems` is pure: text of the unit and of its environment file in, sentences out.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from asyncq.core.errors import EXIT_APP, EXIT_HANDED_BACK, EXIT_USAGE
from asyncq.core.settings import Settings
from tests.deploy import facts

Unit = Mapping[str, Mapping[str, str]]

# What must stand in [Service] as it is, and why anything else would hurt.
EXACT = {
    "Type": ("notify", "the supervisor sends READY=1"),
    "NotifyAccess": ("main", "only the supervisor notifies"),
    "KillMode": ("mixed", "a worker that gets SIGTERM itself drains without a time limit"),
    "KillSignal": ("SIGTERM", "that is what drains"),
    "Restart": ("on-failure", "a drained supervisor was meant to end"),
    "OOMPolicy": ("continue", "the supervisor replaces a worker that the kernel killed"),
    "ProtectSystem": ("strict", "asyncq writes no file"),
    "CapabilityBoundingSet": ("", "asyncq needs no capability"),
    "SystemCallArchitectures": ("native", "nothing else runs"),
    "UMask": ("0077", "nobody else reads what handlers write"),
}
SWITCHES = (
    "DynamicUser",
    "NoNewPrivileges",
    "ProtectHome",
    "PrivateTmp",
    "PrivateDevices",
    "ProtectClock",
    "ProtectHostname",
    "ProtectControlGroups",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "LockPersonality",
)
KNOWN = {
    "Unit": {"Description", "Wants", "After"},
    "Service": {
        *EXACT,
        *SWITCHES,
        "WorkingDirectory",
        "ExecStart",
        "EnvironmentFile",
        "TimeoutStartSec",
        "TimeoutStopSec",
        "WatchdogSec",
        "RestartSec",
        "RestartPreventExitStatus",
        "SuccessExitStatus",
        "LimitNOFILE",
        "RestrictAddressFamilies",
    },
    "Install": {"WantedBy"},
}
# It is fed every third of it, and a lone worker that hangs is put down and replaced in a few seconds.
LEAST_WATCHDOG_S = 15.0
HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # by ProtectHome= and PrivateTmp=


def parse(text: str) -> Unit:
    """Sections, directives and values.

    Raises:
        ValueError: a line that is none, an unknown section or directive, or one that stands twice.
    """
    unit: dict[str, dict[str, str]] = {}
    section: dict[str, str] | None = None
    name = ""
    for line in (raw.strip() for raw in text.splitlines()):
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1]
            _refuse_stranger(name, KNOWN, unit)
            section = unit[name] = {}
            continue
        key, equals, value = line.partition("=")
        if section is None or not equals or line.endswith("\\"):
            raise ValueError(f"expected Directive=value on one line below a [Section], found {line!r}")
        _refuse_stranger(key, KNOWN[name], section)
        section[key] = value
    return unit


def _refuse_stranger(name: str, known: Mapping[str, object] | set[str], seen: Mapping[str, object]) -> None:
    if name in seen:
        raise ValueError(f"{name} stands twice")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "is it for something that asyncq does not do?"
        raise ValueError(f"{name} is unknown: {hint}")


def parse_environment(text: str) -> dict[str, str]:
    """An EnvironmentFile= without quotes, continuations or a name that stands twice.

    Raises:
        ValueError: a line that is something else.
    """
    environ: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.isidentifier() or name in environ or set(value) & set("\"'\\ "):
            raise ValueError(f"expected NAME=value once and without quotes, found {line!r}")
        environ[name] = value
    return environ


def commented(text: str) -> str:
    """An environment file with its suggestions switched on: `#NAME=value` becomes `NAME=value`."""
    lines = text.splitlines()
    return "\n".join(line[1:] if line[:1] == "#" and line[1:2].isalpha() else line for line in lines)


def seconds(value: str) -> float:
    """A time span written as plain seconds, the only way that nobody misreads."""
    if not value.isdigit():
        raise ValueError(f"expected whole seconds, found {value!r}")
    return float(value)


def problems(text: str, environment: str) -> list[str]:
    """Everything wrong with the unit, given the environment file that it names; empty = fine."""
    try:
        unit = parse(text)
        service = unit["Service"]
        settings = _settings(service, parse_environment(environment))
        return [*_fixed(service), *_places(service), *_times(service, settings), *_codes(service), *_rest(unit)]
    except KeyError as error:
        return [f"{error.args[0]} is missing"]
    except ValueError as error:
        return [str(error)]


def _settings(service: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    arguments = shlex.split(service["ExecStart"])[1:]
    settings = facts.settings_of(arguments, environ)
    strangers = sorted(set(environ) - facts.VARIABLES)
    if strangers:
        raise ValueError(f"variables that asyncq does not know: {', '.join(strangers)}")
    if settings.redis_url is None or "--redis" in arguments:
        raise ValueError("the environment file must name the Redis: not the command line, where everybody reads it")
    if (settings.procs, settings.per_proc) != ("auto", 50):
        raise ValueError("ExecStart: expected --procs auto --per-proc 50")
    return settings


def _fixed(service: Mapping[str, str]) -> Iterator[str]:
    wanted = {**EXACT, **dict.fromkeys(SWITCHES, ("yes", "hardening"))}
    for name, (value, why) in wanted.items():
        if service.get(name) != value:
            yield f"{name}: expected {value!r}, found {service.get(name)!r} ({why})"
    families = set(service["RestrictAddressFamilies"].split())
    if families != {"AF_UNIX", "AF_INET", "AF_INET6"}:
        yield "RestrictAddressFamilies: expected AF_UNIX (notifications, sockets), AF_INET and AF_INET6, nothing more"


def _places(service: Mapping[str, str]) -> Iterator[str]:
    program, folder = PurePosixPath(shlex.split(service["ExecStart"])[0]), service["WorkingDirectory"]
    if program.name != facts.PROGRAM or not program.is_absolute():
        yield f"ExecStart: expected the absolute path of {facts.PROGRAM}, found {program}"
    for place in (str(program), folder):
        if any(PurePosixPath(place).is_relative_to(hidden) for hidden in HIDDEN):
            yield f"{place} is hidden from the service"
    if not service["EnvironmentFile"].startswith("/"):
        yield "EnvironmentFile: expected an absolute path without '-': a unit that names no Redis must not start"


def _times(service: Mapping[str, str], settings: Settings) -> Iterator[str]:
    stop_s = facts.longest_stop_s(settings) + facts.MARGIN_S
    start_s = facts.longest_start_s(settings) + facts.MARGIN_S
    if seconds(service["TimeoutStopSec"]) < stop_s:
        yield f"TimeoutStopSec: a drain may take {stop_s:g} s with the margin, found {service['TimeoutStopSec']}"
    if seconds(service["TimeoutStartSec"]) < start_s:
        yield f"TimeoutStartSec: a start may take {start_s:g} s with the margin, found {service['TimeoutStartSec']}"
    if not LEAST_WATCHDOG_S <= seconds(service["WatchdogSec"]) <= settings.watchdog_s * 3:
        yield f"WatchdogSec: expected {LEAST_WATCHDOG_S:g} s to three times --watchdog, found {service['WatchdogSec']}"
    if not 1 <= seconds(service["RestartSec"]) <= 30:
        yield f"RestartSec: expected 1 to 30 s, found {service['RestartSec']}"


def _codes(service: Mapping[str, str]) -> Iterator[str]:
    hopeless, fine = service["RestartPreventExitStatus"].split(), service["SuccessExitStatus"].split()
    if hopeless != [str(EXIT_USAGE), str(EXIT_APP)]:
        yield f"RestartPreventExitStatus: expected {EXIT_USAGE} {EXIT_APP}, found {' '.join(hopeless)}"
    if fine != [str(EXIT_HANDED_BACK)]:
        yield f"SuccessExitStatus: expected {EXIT_HANDED_BACK}, found {' '.join(fine)}"


def _rest(unit: Unit) -> Iterator[str]:
    if not unit["Unit"]["Description"]:
        yield "Description is empty"
    if "network-online.target" not in unit["Unit"]["After"].split():
        yield "After: expected network-online.target, or the network goes before the drain has ended"
    if unit["Unit"]["Wants"] != "network-online.target":
        yield "Wants: expected network-online.target: After= alone starts nothing"
    if unit["Install"]["WantedBy"] != "multi-user.target":
        yield "WantedBy: expected multi-user.target"
    if int(unit["Service"]["LimitNOFILE"]) < 4096:
        yield "LimitNOFILE: expected at least 4096"
