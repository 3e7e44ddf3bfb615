"""The real supervisor, started as the unit and the manifest start it: what they rely on happens."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.deploy import facts, unit_rules
from tests.deploy.deployed import (
    in_a_container,
    inner_pid,
    manifest_container,
    settled,
    under_systemd,
)
from tests.support.commands import skip_if_redis_on_localhost
from tests.support.fleet import message
from tests.support.service_manager import ServiceManager
from tests.support.states import wait_until

SERVICE = unit_rules.parse((facts.ROOT / "deploy" / "systemd" / "asyncq.service").read_text())["Service"]
QUEUE = "task_queue"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    manager = ServiceManager(tmp_path)
    yield manager
    manager.close()


def test_systemd_hears_ready_with_the_full_set_and_stopping_at_term(
    tmp_path: Path, redis_url: str, raw_redis: redis.Redis, manager: ServiceManager
) -> None:
    gate = tmp_path / "gate"
    with under_systemd(tmp_path, redis_url, manager) as deployed:
        ready = manager.hear_of("READY")
        assert deployed.process.pid == ready.pid  # NotifyAccess=main is enough
        assert 200 == deployed.get("/startupz")[0]
        raw_redis.rpush(QUEUE, message("hold", 1, until=str(gate)))
        wait_until(lambda: 'asyncq_tasks_in_progress{queue="task_queue"} 1.0' in deployed.get("/metrics")[1])
        deployed.stop()
        stopping = manager.hear_of("STOPPING")
        assert deployed.process.pid == stopping.pid
        assert (503, 200) == (deployed.get("/readyz")[0], deployed.get("/livez")[0])
        gate.touch()
        assert 0 == deployed.end()


def test_the_code_counts_as_success_when_the_drain_hands_back(
    tmp_path: Path, redis_url: str, raw_redis: redis.Redis, manager: ServiceManager
) -> None:
    with under_systemd(tmp_path, redis_url, manager, ASYNCQ_DRAIN_TIMEOUT="0.2") as deployed:
        manager.hear_of("READY")
        raw_redis.rpush(QUEUE, message("hold", 1, until=str(tmp_path / "never")))
        wait_until(lambda: 'asyncq_tasks_in_progress{queue="task_queue"} 1.0' in deployed.get("/metrics")[1])
        deployed.stop()
        assert SERVICE["SuccessExitStatus"] == str(deployed.end())
        assert 1 == raw_redis.llen(QUEUE)


@pytest.mark.parametrize(
    ("tasks", "variables", "code"),
    [("", {"ASYNCQ_LEASE": "soon"}, 2), ("import no_such_package", {}, 3)],
)
def test_systemd_does_not_start_again_what_would_fail_again(
    tmp_path: Path, redis_url: str, manager: ServiceManager, tasks: str, variables: dict[str, str], code: int
) -> None:
    with under_systemd(tmp_path, redis_url, manager, tasks, **variables) as deployed:
        assert code == deployed.end()
        assert str(code) in SERVICE["RestartPreventExitStatus"].split()
        assert 1 == deployed.said().count("asyncq: ")  # the reason, once
    assert not any(heard.value("READY") for heard in manager.rest())


def test_the_pod_works_as_pid_1_without_a_right_on_a_read_only_file_system(
    tmp_path: Path, redis_url: str, raw_redis: redis.Redis
) -> None:
    probes = [
        manifest_container()[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")
    ]
    with in_a_container(tmp_path, redis_url) as deployed:
        wait_until(lambda: deployed.records("ready") or deployed.process.poll() is not None, 30.0, "ready")
        raw_redis.rpush(QUEUE, *(message("echo", n) for n in range(20)))
        settled(deployed, "succeeded", 20)
        wait_until(lambda: [200, 200, 200] == [deployed.get(path)[0] for path in probes], 5.0, "all probes")
        pid = inner_pid(deployed)
        status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert ("0" * 16, "1") == (status["CapEff"], status["NoNewPrivs"])
        assert "1" == status["NSpid"].split()[-1]
        deployed.stop(pid)
        assert 0 == deployed.end()


def test_no_embedded_server_is_started_where_it_could_not_write_its_data(tmp_path: Path) -> None:
    skip_if_redis_on_localhost()
    with in_a_container(tmp_path, "", TMPDIR="/dev/shm") as deployed:  # the unit has a /tmp of its own, too
        assert 2 == deployed.end()
        assert "Read-only file system" in deployed.said()
    assert {"tasks.py", "stderr"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing_wrong_with_the_page_of_a_supervisor_that_worked(
    tmp_path: Path, redis_url: str, raw_redis: redis.Redis, manager: ServiceManager
) -> None:
    with under_systemd(tmp_path, redis_url, manager) as deployed:
        manager.hear_of("READY")
        raw_redis.rpush(QUEUE, message("echo", 1), message("fail", 2), b"no message")
        wait_until(lambda: "asyncq_tasks_dead_lettered_total" in deployed.get("/metrics")[1])
        settled(deployed, "succeeded", 1)
        page = deployed.get("/metrics")[1].encode()
        done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True)
        assert (0, b"") == (done.returncode, done.stdout + done.stderr)
        broken = page.replace(b"# TYPE asyncq_queue_load gauge", b"# TYPE asyncq_queue_load counter")
        assert 0 != subprocess.run(["promtool", "check", "metrics"], input=broken, capture_output=True).returncode
        deployed.stop()
        assert 0 == deployed.end()
