"""deploy/kubernetes: the manifest has only fields that Kubernetes knows, and its values fit the supervisor."""

from __future__ import annotations

import tomllib

import pytest

from tests.deploy import facts, manifest_rules
from tests.deploy.planting import expect, planted

MANIFEST = (facts.ROOT / "deploy" / "kubernetes" / "asyncq.yaml").read_text()


def test_the_manifest_keeps_every_rule() -> None:
    assert [] == manifest_rules.problems(MANIFEST)


MISTAKES = [
    ('"--per-proc", "50"', '"--per-process", "50"', "No such option"),
    ('"--per-proc", "50"', '"--per-proc", "many"', "--per-proc: expected a whole number"),
    ('"--procs", "auto"', '"--procs", "4"', "expected --procs auto"),
    ('["asyncq-supervise", ', '["sh", "-c", ', "without a shell"),
    ("path: /livez", "path: /healthz", "there is no page /healthz"),
    ("path: /livez", "path: /readyz", "livenessProbe: expected /livez"),
    ("terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 30", "a drain may take 48 s"),
    ("failureThreshold: 60", "failureThreshold: 30", "startupProbe: a start may take 110 s"),
    ("failureThreshold: 60", "failureTreshold: 60", "did you mean 'failureThreshold'?"),
    ("failureThreshold: 60", "failureTreshold: 60", "failureThreshold is missing"),
    ("periodSeconds: 10", "periodSeconds: 5", "livenessProbe: expected more patience"),
    ("containerPort: 9464", "containerPort: 9646", "ports: expected 9464 only"),
    ("containerPort: 9464", 'containerPort: "9464"', "containerPort: expected a whole number"),
    ("- name: metrics", "- name: http", "startupProbe: no port is named metrics"),
    ("ASYNCQ_REDIS_URL", "ASYNCQ_REDIS", "does not know: ASYNCQ_REDIS"),
    ("ASYNCQ_LOG_FORMAT", "ASYNCQ_LOGFORMAT", "does not know: ASYNCQ_LOGFORMAT"),
    ("value: json", "value: yaml", "--log-format: expected one of"),
    ("value: json", "value: text", "ASYNCQ_LOG_FORMAT: expected json"),
    ('value: "0.0.0.0"', "value: 127.0.0.1", "probes come from outside"),
    ('value: "0.0.0.0"', "value: 0", "value: expected text"),
    ("key: url", "key: url\n                  optional: true", "a Secret that must exist"),
    ("valueFrom:", "valuefrom:", "did you mean 'valueFrom'?"),
    ("maxUnavailable: 0", "maxUnavailable: 1", "must take nothing away"),
    ("maxUnavailable: 0", "maxUnavailabel: 0", "did you mean 'maxUnavailable'?"),
    ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readOnlyRootFilesystem: expected one of"),
    ("runAsNonRoot: true", 'runAsNonRoot: "true"', "runAsNonRoot: expected one of"),
    ("runAsUser: 10001", "runAsUser: 0", "runAsUser: expected a whole number from 1"),
    ("enableServiceLinks: false", "enableServiceLinks: true", "enableServiceLinks: expected one of"),
    ("replicas: 2", "replicas: 2\n  replicas: 3", "replicas stands twice"),
    ("replicas: 2", "replicas: two", "replicas: expected a whole number"),
    ("memory: 256Mi", "memory: 128Mi", "requests.memory: 2 workers"),
    ("memory: 512Mi", "memory: 512MB", "expected a quantity"),
    ("apiVersion: apps/v1", "apiVersion: apps/v1beta1", "apiVersion: expected one of"),
    (":1.0.0", "", "an image with a tag"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), MISTAKES)
def test_a_mistake_in_the_manifest_is_found(old: str, new: str, sentence: str) -> None:
    expect(sentence, manifest_rules.problems(planted(_code(MANIFEST), old, new)))


def test_a_limit_that_is_no_whole_number_of_cpus_is_found() -> None:
    head, cpu, tail = MANIFEST.rpartition('cpu: "2"')
    expect("limits.cpu: expected a whole number", manifest_rules.problems(f"{head}{cpu[:-3]}2500m{tail}"))


def test_labels_that_the_selector_does_not_find_are_found() -> None:
    head, label, tail = MANIFEST.rpartition("app.kubernetes.io/name: asyncq")
    expect("selector.matchLabels", manifest_rules.problems(f"{head}{label}-workers{tail}"))


def test_links_to_a_service_named_after_us_would_be_taken_for_settings() -> None:
    """Why the manifest switches them off: this is what Kubernetes sets for a Service named asyncq-metrics."""
    links = {"ASYNCQ_METRICS_PORT": "tcp://10.0.0.7:9464"}
    with pytest.raises(ValueError, match="--metrics-port: expected a whole number"):
        facts.settings_of([], links)


def test_the_command_that_makes_the_secret_makes_the_one_that_is_read() -> None:
    (container,) = manifest_rules.deployment(MANIFEST)["spec"]["template"]["spec"]["containers"]
    (reference,) = [row["valueFrom"]["secretKeyRef"] for row in container["env"] if "valueFrom" in row]
    command = f"kubectl create secret generic {reference['name']} --from-literal={reference['key']}=redis"
    assert f"#   {command}" in MANIFEST
    page = (facts.ROOT / "docs" / "how-to" / "deploy.md").read_text()
    assert command in page


def test_the_image_that_the_comment_builds_is_the_one_that_the_manifest_runs() -> None:
    (container,) = manifest_rules.deployment(MANIFEST)["spec"]["template"]["spec"]["containers"]
    lines = [line.removeprefix("#   ") for line in MANIFEST.splitlines() if line.startswith("#   ")]
    base, install, copy = lines[:3]
    assert base.startswith("FROM python:3.")
    assert install.split()[-1] == tomllib.loads((facts.ROOT / "pyproject.toml").read_text())["project"]["name"]
    assert copy.split()[-1] == container["workingDir"]


def _code(text: str) -> str:
    """Without comments, which say the same words."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
