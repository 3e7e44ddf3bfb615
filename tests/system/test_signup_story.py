"""The example under the real supervisor: real mails and webhooks, one worker killed in the middle, nothing missing."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.support.states import wait_until

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 800


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def fleet(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("SIGNUP_SMTP", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("SIGNUP_HTTP", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    fleet = Fleet(tmp_path, redis_url, "--app", "examples.signup.tasks", "--procs", "2", "--per-proc", "50").ready()
    yield fleet
    fleet.end()


def test_every_event_arrives_when_a_worker_is_killed_in_the_middle(
    fleet: Fleet, redis_url: str, tmp_path: Path
) -> None:
    record = tmp_path / "deliveries.jsonl"
    story = [sys.executable, "-m", "examples.signup", "--redis", redis_url, "--count", str(EVENTS)]
    story += ["--record", str(record), "--timeout", "60"]
    with subprocess.Popen(story, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        wait_until(lambda: record.exists() and len(record.read_text().splitlines()) > EVENTS // 2, 60)
        os.kill(fleet.pids("worker")[0], signal.SIGKILL)
        out, _ = process.communicate(timeout=90)

    assert process.returncode == 0
    last = out.splitlines()[-1]
    found = re.fullmatch(
        rf"All {EVENTS} events arrived on all 3 channels: ([\d,]+) deliveries in .*, (\d+) of them duplicates; .*", last
    )
    assert found, last
    deliveries, duplicates = int(found[1].replace(",", "")), int(found[2])
    handed_back = sum(event["handed_back"] + event["suspected"] for event in fleet.events("given back"))
    assert deliveries == 3 * EVENTS + duplicates
    assert duplicates <= handed_back
    assert fleet.stop() == 0
