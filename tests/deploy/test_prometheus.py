"""deploy/prometheus: the jobs scrape what the other files start; promtool itself reads them where it is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from asyncq.metrics import catalogue
from tests.deploy import facts, manifest_rules, scrape_rules
from tests.deploy.planting import expect, planted

FOLDER = facts.ROOT / "deploy" / "prometheus"
HOSTS = (FOLDER / "scrape.yml").read_text()
PODS = (FOLDER / "scrape-kubernetes.yml").read_text()
PAGE = (facts.ROOT / "docs" / "how-to" / "deploy.md").read_text()

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")


def our_pod() -> dict[str, str]:
    """What Prometheus knows of the port of a pod of our Deployment."""
    template = manifest_rules.deployment((facts.ROOT / "deploy/kubernetes/asyncq.yaml").read_text())["spec"]["template"]
    (container,) = template["spec"]["containers"]
    (port,) = container["ports"]
    labels = {
        f"label_{re.sub('[^a-zA-Z0-9_]', '_', name)}": text for name, text in template["metadata"]["labels"].items()
    }
    pod = {"name": "asyncq-5d8-x7", "container_name": container["name"], "container_port_name": port["name"], **labels}
    return {"__meta_kubernetes_namespace": "shop", **{f"__meta_kubernetes_pod_{key}": pod[key] for key in pod}}


def test_the_jobs_keep_every_rule() -> None:
    assert [] == scrape_rules.problems(HOSTS)
    assert [] == scrape_rules.problems_in_kubernetes(PODS, our_pod())


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (":9464", ":9090", "expected the default port 9464"),
        ("scrape_timeout: 5s", "scrape_timeout: 1s", "scrape_timeout: expected from 2 s"),
        ("scrape_timeout: 5s", "scrape_timeout: 20s", "less than the interval"),
        ("scrape_timeout: 5s", "scrap_timeout: 5s", "did you mean 'scrape_timeout'?"),
        ("scrape_timeout: 5s", "scrape_timeout: 5s\n    scrape_timeout: 5s", "scrape_timeout stands twice"),
        ("static_configs", "static_config", "did you mean 'static_configs'?"),
        ('["127.0.0.1:9464"]', '"127.0.0.1:9464"', "targets: expected a list"),
        ('["127.0.0.1:9464"]', "[127.0.0.1:9464", "expected ',' or ']'"),
    ],
)
def test_a_mistake_in_the_job_for_hosts_is_found(old: str, new: str, sentence: str) -> None:
    expect(sentence, scrape_rules.problems(planted(HOSTS, old, new)))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("regex: asyncq;metrics", "regex: asyncq;http", "our pod is 'asyncq;metrics'"),
        ("label_app_kubernetes_io_name", "label_app", "labels that no pod of ours has"),
        ("        action: keep\n", "", "expected a rule that keeps our pods only"),
        ("role: pod", "role: pods", "role: expected one of"),
        ("action: keep", "action: keeps", "action: expected one of"),
        ("target_label: pod", "target_lable: pod", "did you mean 'target_label'?"),
        ("        target_label: pod\n", "", "or one that names a target_label"),
    ],
)
def test_a_mistake_in_the_job_for_pods_is_found(old: str, new: str, sentence: str) -> None:
    expect(sentence, scrape_rules.problems_in_kubernetes(planted(PODS, old, new), our_pod()))


def promtool(*command: str, said: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["promtool", *command], input=said, capture_output=True, timeout=60)


@needs_promtool
def test_promtool_takes_the_job_for_hosts_and_finds_a_mistake_in_it(tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text(HOSTS)
    done = promtool("check", "config", str(config))
    assert (0, b"") == (done.returncode, done.stderr)
    config.write_text(planted(HOSTS, "static_configs", "static_config"))
    assert b"field static_config not found" in promtool("check", "config", str(config)).stderr


@needs_promtool
def test_promtool_takes_the_job_for_pods() -> None:
    done = promtool("check", "config", str(FOLDER / "scrape-kubernetes.yml"))
    if b"field kubernetes_sd_configs not found" in done.stderr:
        pytest.skip("this promtool was built without Kubernetes, as Debian's is")
    assert (0, b"") == (done.returncode, done.stderr)


def discovered(tmp_path: Path, *pods: dict[str, str]) -> list[dict[str, Any]]:
    """What Prometheus makes of these pods by the job's rules: promtool runs them, the pods are listed by hand."""
    job = scrape_rules.job(PODS, scrape_rules.KUBERNETES)
    del job["kubernetes_sd_configs"]
    listed = [{"targets": [f"10.0.0.{index}:9464"], "labels": pod} for index, pod in enumerate(pods)]
    config = tmp_path / "prometheus.yml"
    config.write_text(yaml.safe_dump({"scrape_configs": [{**job, "static_configs": listed}]}))
    done = promtool("check", "service-discovery", "--timeout=2s", str(config), job["job_name"])
    assert 0 == done.returncode, done.stderr
    return sorted(json.loads(done.stdout), key=lambda target: str(target["discoveredLabels"]["__address__"]))


@needs_promtool
def test_prometheus_keeps_our_pod_with_its_name_and_no_other(tmp_path: Path) -> None:
    other = {**our_pod(), "__meta_kubernetes_pod_label_app_kubernetes_io_name": "web"}
    sidecar = {**our_pod(), "__meta_kubernetes_pod_container_port_name": "http"}
    kept, *dropped = discovered(tmp_path, our_pod(), other, sidecar)
    found = {key: kept["labels"][key] for key in ("instance", "job", "namespace", "pod")}
    assert {
        "instance": "10.0.0.0:9464",
        "job": "asyncq-kubernetes",
        "namespace": "shop",
        "pod": "asyncq-5d8-x7",
    } == found
    assert [{}, {}] == [target["labels"] for target in dropped]


def queries() -> list[str]:
    """Every query that the page and the scrape configuration show."""
    shown = [line.strip() for block in re.findall(r"```promql\n(.*?)```", PAGE, re.S) for line in block.splitlines()]
    return [*shown, *re.findall(r"^#   (\w+ by .+)$", HOSTS, re.M)]


def rules(expressions: Sequence[str]) -> str:
    rows = [{"record": f"shown:{index}", "expr": expression} for index, expression in enumerate(expressions)]
    return yaml.safe_dump({"groups": [{"name": "shown", "rules": rows}]})


def test_every_query_asks_for_metrics_that_exist() -> None:
    assert len(queries()) >= 4
    for query in queries():
        names = set(re.findall(r"asyncq_\w+", query))
        assert names
        assert set() == {name.removesuffix("_bucket") for name in names} - set(catalogue.BY_NAME), query


@needs_promtool
def test_promtool_takes_every_query(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(rules(queries()))
    done = promtool("check", "rules", str(file))
    assert (0, b"") == (done.returncode, done.stderr)
    file.write_text(rules(["max by (queue asyncq_queue_tasks"]))
    assert 0 != promtool("check", "rules", str(file)).returncode
