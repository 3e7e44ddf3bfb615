"""What is wrong with a scrape configuration for asyncq.

`problems` is pure: the file's text in, sentences out. The schema names what Prometheus knows of what we use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.deploy import facts
from tests.deploy.strict_yaml import TEXT, Fields, Listed, check, fields, load_all, one_of, text_like

SPAN = text_like("seconds such as 15s", r"[1-9]\d*s")
LABEL = text_like("the name of a label", r"[a-z_]+")
_TIMES: dict[str, Any] = {"job_name": TEXT, "scrape_interval": SPAN, "scrape_timeout": SPAN}
STATIC = fields(**_TIMES, static_configs=Listed(fields(targets=Listed(text_like("host:port", r"[\w.-]+:\d+")))))
_KEEP = {"regex": TEXT, "action": one_of("keep"), "target_label": LABEL}
KUBERNETES = fields(
    **_TIMES,
    kubernetes_sd_configs=Listed(fields(role=one_of("pod"))),
    relabel_configs=Listed(fields(source_labels=Listed(LABEL), optional=_KEEP)),
)


def job(text: str, shape: Fields) -> dict[str, Any]:
    """The only job of the file.

    Raises:
        ValueError: something else stands there.
    """
    documents = load_all(text)
    wrong = list(check(documents[0] if len(documents) == 1 else documents, fields(scrape_configs=Listed(shape))))
    if wrong:
        raise ValueError("; ".join(wrong))
    (only,) = documents[0]["scrape_configs"]
    return dict(only)


def problems(text: str) -> list[str]:
    """Everything wrong with the job for hosts; empty = fine."""
    try:
        found = job(text, STATIC)
    except ValueError as error:
        return [str(error)]
    return [*_times(found), *_targets(found)]


def problems_in_kubernetes(text: str, pod: Mapping[str, str]) -> list[str]:
    """Everything wrong with the job for pods.

    Args:
        text: Of the file.
        pod: What Prometheus knows of a port of our pod: meta labels and values.
    """
    try:
        found = job(text, KUBERNETES)
    except ValueError as error:
        return [str(error)]
    return [*_times(found), *_relabelling(found["relabel_configs"], pod)]


def _times(found: Mapping[str, Any]) -> Iterator[str]:
    interval_s, timeout_s = int(found["scrape_interval"][:-1]), int(found["scrape_timeout"][:-1])
    if not 2 <= timeout_s < interval_s:
        yield "scrape_timeout: expected from 2 s, because Redis is given one, and less than the interval"
    if "/metrics" not in facts.routes():
        yield "there is no page /metrics, which Prometheus asks for by default"


def _targets(found: Mapping[str, Any]) -> Iterator[str]:
    port = facts.DEFAULTS["metrics_port"]
    for group in found["static_configs"]:
        for target in group["targets"]:
            if not target.endswith(f":{port}"):
                yield f"{target}: expected the default port {port}"


def _relabelling(rules: list[Mapping[str, Any]], pod: Mapping[str, str]) -> Iterator[str]:
    strangers = {label for rule in rules for label in rule["source_labels"]} - set(pod)
    if strangers:
        yield f"labels that no pod of ours has: {', '.join(sorted(strangers))}"
    kept = [rule for rule in rules if rule.get("action") == "keep"]
    if not kept:
        yield "expected a rule that keeps our pods only"
    for rule in kept:
        value = ";".join(pod.get(label, "") for label in rule["source_labels"])
        if re.fullmatch(rule.get("regex", ""), value) is None:
            yield f"the rule keeps {rule.get('regex')!r}, our pod is {value!r}"
    for rule in rules:
        if ("target_label" in rule) == (rule.get("action") == "keep"):
            yield f"expected a rule that keeps, or one that names a target_label, found {dict(rule)}"
