"""What is wrong with a Deployment for asyncq: fields that Kubernetes lacks, and values that do not fit the code.

`problems` is pure: the manifest's text in, sentences out. The schema names what Kubernetes knows of what we use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from asyncq.core.cpus import usable_cpus
from asyncq.core.settings import Settings
from tests.deploy import facts
from tests.deploy.strict_yaml import LABELS, SWITCH, TEXT, Listed, check, fields, load_all, one_of, text_like, whole

NAME = text_like("a name of lower-case letters, digits and dashes", r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
QUANTITY = text_like("a quantity such as '2', 500m or 256Mi", r"\d+(m|Ki|Mi|Gi)?")
COUNT = whole(0, 10_000)
SECONDS = whole(1, 3_600)
PATH = text_like("an absolute path", r"/\S*")
UID = whole(1, 2**31 - 1)

_RESOURCES = fields(cpu=QUANTITY, memory=QUANTITY)
_PROBE = fields(
    httpGet=fields(path=PATH, port=NAME),
    periodSeconds=SECONDS,
    failureThreshold=SECONDS,
    timeoutSeconds=SECONDS,
    optional={"initialDelaySeconds": COUNT},
)
_SECRET = fields(secretKeyRef=fields(name=NAME, key=TEXT, optional={"optional": SWITCH}))
_CONTAINER = fields(
    name=NAME,
    image=text_like("an image with a tag", r"\S+:[\w.-]+"),
    workingDir=PATH,
    command=Listed(TEXT),
    env=Listed(fields(name=text_like("a variable", r"[A-Z_]+"), optional={"value": TEXT, "valueFrom": _SECRET})),
    ports=Listed(fields(name=NAME, containerPort=whole(1, 65535))),
    resources=fields(requests=_RESOURCES, limits=_RESOURCES),
    startupProbe=_PROBE,
    livenessProbe=_PROBE,
    readinessProbe=_PROBE,
    securityContext=fields(
        allowPrivilegeEscalation=one_of(False),
        readOnlyRootFilesystem=one_of(True),
        capabilities=fields(drop=Listed(one_of("ALL"))),
    ),
)
_POD = fields(
    terminationGracePeriodSeconds=SECONDS,
    enableServiceLinks=one_of(False),
    automountServiceAccountToken=one_of(False),
    securityContext=fields(
        runAsNonRoot=one_of(True),
        runAsUser=UID,
        runAsGroup=UID,
        seccompProfile=fields(type=one_of("RuntimeDefault")),
    ),
    containers=Listed(_CONTAINER),
)
_ROLLING = fields(type=one_of("RollingUpdate"), rollingUpdate=fields(maxUnavailable=COUNT, maxSurge=COUNT))
DEPLOYMENT = fields(
    apiVersion=one_of("apps/v1"),
    kind=one_of("Deployment"),
    metadata=fields(name=NAME, labels=LABELS),
    spec=fields(
        replicas=COUNT,
        selector=fields(matchLabels=LABELS),
        strategy=_ROLLING,
        template=fields(metadata=fields(labels=LABELS), spec=_POD),
    ),
)

PROBES = {"startupProbe": "/startupz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
# A process needs that much before the app's own imports, and three processes stand beside the workers.
PROCESS_MIB, HELPERS = 32, 3
# How long the admin process may be away while the supervisor replaces it; the socket stays open meanwhile.
ADMIN_RESTART_S = 2


def deployment(text: str) -> dict[str, Any]:
    """The only document of the file.

    Raises:
        ValueError: no YAML, a doubled key, or more documents than one.
    """
    documents = load_all(text)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise ValueError(f"expected one Deployment, found {len(documents)} documents")
    return documents[0]


def problems(text: str) -> list[str]:
    """Everything wrong with the manifest; empty = fine."""
    try:
        manifest = deployment(text)
        if misshapen := list(check(manifest, DEPLOYMENT)):
            return misshapen
        pod = manifest["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        settings = settings_of(container)
        return [
            *_rollout(manifest["spec"]),
            *_times(pod, container, settings),
            *_probes(container),
            *_environment(container, settings),
            *_resources(container["resources"], settings),
        ]
    except ValueError as error:
        return [str(error)]


def environ_of(container: dict[str, Any], secret: str = facts.SOME_REDIS) -> dict[str, str]:
    """The environment that the container gets, with this value for whatever comes from a Secret."""
    return {row["name"]: row.get("value", secret) for row in container["env"]}


def settings_of(container: dict[str, Any]) -> Settings:
    """The settings that the container runs with.

    Raises:
        ValueError: it does not run `asyncq-supervise`, or that refuses its flags or variables.
    """
    program, *arguments = container["command"]
    if program != facts.PROGRAM:
        raise ValueError(f"command: expected {facts.PROGRAM} itself, without a shell, found {program!r}")
    return facts.settings_of(arguments, environ_of(container))


def _rollout(spec: dict[str, Any]) -> Iterator[str]:
    labels = spec["template"]["metadata"]["labels"]
    if not spec["selector"]["matchLabels"].items() <= labels.items():
        yield "selector.matchLabels: expected labels that the template has"
    rolling = spec["strategy"]["rollingUpdate"]
    if rolling["maxUnavailable"] != 0 or rolling["maxSurge"] < 1:
        yield "strategy: expected maxUnavailable 0 and maxSurge from 1: a bad version must take nothing away"


def _times(pod: dict[str, Any], container: dict[str, Any], settings: Settings) -> Iterator[str]:
    stop_s = facts.longest_stop_s(settings) + facts.MARGIN_S
    start_s = facts.longest_start_s(settings) + facts.MARGIN_S
    grace_s, startup_s = pod["terminationGracePeriodSeconds"], _patience_s(container["startupProbe"])
    if grace_s < stop_s:
        yield f"terminationGracePeriodSeconds: a drain may take {stop_s:g} s with the margin, found {grace_s}"
    if startup_s < start_s:
        yield f"startupProbe: a start may take {start_s:g} s with the margin, found {startup_s} s"
    if _patience_s(container["livenessProbe"]) < settings.watchdog_s:
        yield "livenessProbe: expected more patience than the watchdog has"


def _patience_s(probe: dict[str, Any]) -> int:
    return int(probe.get("initialDelaySeconds", 0) + probe["periodSeconds"] * probe["failureThreshold"])


def _probes(container: dict[str, Any]) -> Iterator[str]:
    ports = {port["name"] for port in container["ports"]}
    for name, page in PROBES.items():
        asked = container[name]["httpGet"]
        if asked["path"] not in facts.routes():
            yield f"{name}: there is no page {asked['path']}"
        elif asked["path"] != page:
            yield f"{name}: expected {page}, found {asked['path']}"
        if asked["port"] not in ports:
            yield f"{name}: no port is named {asked['port']}"
        if container[name]["timeoutSeconds"] <= ADMIN_RESTART_S:
            yield f"{name}: a restart of the admin process may take {ADMIN_RESTART_S} s"


def _environment(container: dict[str, Any], settings: Settings) -> Iterator[str]:
    rows = {row["name"]: row for row in container["env"]}
    strangers = sorted(set(rows) - facts.VARIABLES)
    if strangers:
        yield f"variables that asyncq does not know: {', '.join(strangers)}"
    if len(rows) != len(container["env"]) or any(("value" in row) == ("valueFrom" in row) for row in rows.values()):
        yield "env: expected every variable once, with either value or valueFrom"
    secret = rows.get("ASYNCQ_REDIS_URL", {}).get("valueFrom", {}).get("secretKeyRef", {})
    if not secret or secret.get("optional"):
        yield "ASYNCQ_REDIS_URL: expected to come from a Secret that must exist"
    if settings.metrics_host != "0.0.0.0":
        yield f"ASYNCQ_METRICS_HOST: probes come from outside, found {settings.metrics_host}"
    if settings.log_format != "json":
        yield f"ASYNCQ_LOG_FORMAT: expected json, found {settings.log_format}"
    if [port["containerPort"] for port in container["ports"]] != [facts.DEFAULTS["metrics_port"]]:
        yield f"ports: expected {facts.DEFAULTS['metrics_port']} only"
    if settings.metrics_port != facts.DEFAULTS["metrics_port"]:
        yield f"--metrics-port: expected the default, found {settings.metrics_port}"


def _resources(resources: dict[str, Any], settings: Settings) -> Iterator[str]:
    limit, wanted = _cpus(resources["limits"]["cpu"]), _cpus(resources["requests"]["cpu"])
    procs, why = usable_cpus(cpus=64, affinity=64, read=_cgroup(limit).get)
    if settings.procs != "auto" or settings.per_proc != 50:
        yield "command: expected --procs auto --per-proc 50"
    if procs != limit:
        yield f"limits.cpu: expected a whole number, or processes share CPUs ({why})"
    if not 0 < wanted <= limit:
        yield f"requests.cpu: expected at most the limit, found {wanted:g}"
    needed = PROCESS_MIB * (procs + HELPERS)
    for name in ("requests", "limits"):
        if _mib(resources[name]["memory"]) < needed:
            yield f"{name}.memory: {procs} workers and {HELPERS} processes beside them need {needed} MiB before the app"


def _cgroup(cpus: float) -> dict[str, str]:
    """The files in which a container with this CPU limit finds it."""
    return {
        "/proc/self/cgroup": "0::/\n",
        "/proc/self/mountinfo": "30 29 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n",
        "/sys/fs/cgroup/cpu.max": f"{math.ceil(cpus * 100_000)} 100000\n",
    }


def _cpus(quantity: str) -> float:
    return int(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def _mib(quantity: str) -> float:
    unit = quantity[-2:]
    return int(quantity[:-2]) * {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024}[unit]
