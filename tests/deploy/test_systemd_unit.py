"""deploy/systemd: the unit says what the supervisor does, and systemd itself accepts it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy import facts, unit_rules
from tests.deploy.planting import expect, planted

FOLDER = facts.ROOT / "deploy" / "systemd"
UNIT = (FOLDER / "asyncq.service").read_text()
ENVIRONMENT = (FOLDER / "asyncq.env.example").read_text()

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def test_the_unit_keeps_every_rule() -> None:
    assert [] == unit_rules.problems(UNIT, ENVIRONMENT)


def test_every_suggestion_of_the_environment_file_is_a_setting_that_asyncq_takes() -> None:
    everything = unit_rules.commented(ENVIRONMENT)
    assert len(unit_rules.parse_environment(everything)) > len(unit_rules.parse_environment(ENVIRONMENT)) == 1
    assert [] == unit_rules.problems(UNIT, everything)


MISTAKES = [
    ("--per-proc 50", "--per-process 50", "No such option"),
    ("--per-proc 50", "--per-proc fifty", "--per-proc: expected a whole number"),
    ("--procs auto", "--procs 2", "expected --procs auto"),
    ("--procs auto", "--redis redis://h/0 --procs auto", "not the command line"),
    ("/opt/asyncq/.venv/bin/asyncq-supervise", "asyncq-supervise", "expected the absolute path"),
    ("/opt/asyncq/.venv/bin/asyncq-supervise", "/home/ada/.venv/bin/asyncq-supervise", "hidden from the service"),
    ("WorkingDirectory=/opt/asyncq", "WorkingDirectory=/root", "hidden from the service"),
    ("EnvironmentFile=/etc", "EnvironmentFile=-/etc", "must not start"),
    ("Type=notify", "Type=simple", "Type: expected 'notify'"),
    ("NotifyAccess=main", "NotifyAccess=all", "NotifyAccess: expected 'main'"),
    ("KillMode=mixed", "KillMode=control-group", "KillMode: expected 'mixed'"),
    ("KillSignal=SIGTERM", "KillSignal=SIGINT", "KillSignal"),
    ("TimeoutStopSec=60", "TimeoutStopSec=30", "TimeoutStopSec: a drain may take 48 s"),
    ("TimeoutStopSec=60", "TimeoutStopSec=1min", "expected whole seconds"),
    ("TimeoutStopSec=60\n", "\n", "TimeoutStopSec is missing"),
    ("TimeoutStartSec=120", "TimeoutStartSec=60", "TimeoutStartSec: a start may take 110 s"),
    ("RestartPreventExitStatus=2 3", "RestartPreventExitStatus=2", "RestartPreventExitStatus: expected 2 3"),
    ("RestartPreventExitStatus=2 3", "RestartPreventExitStatus=1 2 3", "RestartPreventExitStatus: expected 2 3"),
    ("SuccessExitStatus=75", "SuccessExitStatus=70", "SuccessExitStatus: expected 75"),
    ("OOMPolicy=continue", "OOMPolicy=stop", "OOMPolicy"),
    ("AF_UNIX AF_INET AF_INET6", "AF_INET AF_INET6", "RestrictAddressFamilies"),
    ("NoNewPrivileges=yes", "NoNewPrivileges=no", "NoNewPrivileges: expected 'yes'"),
    ("ProtectHome=yes", "ProtectHomes=yes", "did you mean ProtectHome?"),
    ("Restart=on-failure", "Restart=on-failure\nExecReload=/bin/true", "something that asyncq does not do"),
    ("WatchdogSec=30", "WatchdogSec=5", "WatchdogSec: expected 15 s to three times"),
    ("WatchdogSec=30", "WatchdogSec=0", "WatchdogSec: expected 15 s to three times"),
    ("WatchdogSec=30\n", "\n", "WatchdogSec is missing"),
    ("Restart=on-failure", "Restart=on-failure\nRestart=always", "Restart stands twice"),
    ("LimitNOFILE=65536", "LimitNOFILE=1024", "LimitNOFILE"),
    ("WantedBy=multi-user.target", "WantedBy=default.target", "WantedBy"),
    ("After=network-online.target ", "After=", "After"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), MISTAKES)
def test_a_mistake_in_the_unit_is_found(old: str, new: str, sentence: str) -> None:
    expect(sentence, unit_rules.problems(planted(UNIT, old, new), ENVIRONMENT))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("ASYNCQ_REDIS_URL=redis", "#ASYNCQ_REDIS_URL=redis", "must name the Redis"),
        ("ASYNCQ_REDIS_URL=redis", "ASYNCQ_REDIS=redis", "does not know: ASYNCQ_REDIS"),
        ("ASYNCQ_REDIS_URL=redis://", "ASYNCQ_REDIS_URL=", "--redis: expected a URL"),
        ("#ASYNCQ_APP=", "ASYNCQ_AP=", "does not know: ASYNCQ_AP"),
        ("#ASYNCQ_DRAIN_TIMEOUT=25", "ASYNCQ_DRAIN_TIMEOUT=60", "TimeoutStopSec: a drain may take 83 s"),
        ("#ASYNCQ_APP=shop.tasks", 'ASYNCQ_APP="shop.tasks"', "without quotes"),
    ],
)
def test_a_mistake_in_the_environment_file_is_found(old: str, new: str, sentence: str) -> None:
    expect(sentence, unit_rules.problems(UNIT, planted(ENVIRONMENT, old, new)))


def analyze(tmp_path: Path, text: str, *command: str) -> subprocess.CompletedProcess[str]:
    """systemd-analyze over the unit, whose program is one that this machine has."""
    unit = tmp_path / "asyncq.service"
    unit.write_text(text.replace("/opt/asyncq/.venv/bin/asyncq-supervise", shutil.which("true") or "/bin/true"))
    return subprocess.run(["systemd-analyze", *command, str(unit)], capture_output=True, text=True, timeout=60)


@needs_systemd
def test_systemd_has_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    done = analyze(tmp_path, UNIT, "verify")
    assert (0, "") == (done.returncode, done.stderr)


@needs_systemd
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("OOMPolicy=continue", "OOMPolicies=continue", "Unknown key"),
        ("TimeoutStopSec=60", "TimeoutStopSec=sixty", "Failed to parse"),
        ("KillMode=mixed", "KillMode=mixt", "Failed to parse"),
    ],
)
def test_systemd_finds_a_mistake(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in analyze(tmp_path, planted(UNIT, old, new), "verify").stderr


@needs_systemd
def test_systemd_calls_the_exposure_of_the_unit_ok(tmp_path: Path) -> None:
    threshold = ("security", "--offline=true", "--threshold=50")  # of 100; below 50 its word is OK
    done = analyze(tmp_path, UNIT, *threshold)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge a unit offline")
    assert 0 == done.returncode, done.stdout + done.stderr
    bare = "\n".join(line for line in UNIT.splitlines() if not line.startswith(unit_rules.SWITCHES))
    assert 0 != analyze(tmp_path, bare, *threshold).returncode
