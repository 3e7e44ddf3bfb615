"""docs/how-to/deploy.md names only files, flags, variables, exit codes and numbers that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from asyncq.core import errors
from asyncq.core.settings import CATALOGUE
from tests.deploy import facts, manifest_rules, unit_rules
from tests.deploy.planting import expect, planted

PAGE_PATH = facts.ROOT / "docs" / "how-to" / "deploy.md"
PAGE = PAGE_PATH.read_text()
UNIT = unit_rules.parse((facts.ROOT / "deploy" / "systemd" / "asyncq.service").read_text())["Service"]
POD = manifest_rules.deployment((facts.ROOT / "deploy" / "kubernetes" / "asyncq.yaml").read_text())["spec"]["template"]
CODES = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
FLAGS = {flag for setting in CATALOGUE for flag in setting.spellings}
FOREIGN_FLAGS = {"--now", "--from-literal"}  # systemctl, kubectl


def problems(page: str) -> Iterator[str]:
    """What the page names and nobody has."""
    for place in re.findall(r"\]\(([^)]+)\)", page):
        if not (PAGE_PATH.parent / place).is_file():
            yield f"no file {place}"
    for place in re.findall(r"(?<![\w/.])deploy/[\w./-]+", page):
        if not (facts.ROOT / place).is_file():
            yield f"no file {place}"
    for flag in set(re.findall(r"(?<!\S)`?(--[a-z][a-z-]+)", page)) - FLAGS - FOREIGN_FLAGS:
        yield f"no flag {flag}"
    for variable in set(re.findall(r"ASYNCQ_\w+", page)) - facts.VARIABLES:
        yield f"no variable {variable}"
    pages = {asked or named for asked, named in re.findall(r"9464(/\w+)|`(/\w+)`", page)}
    for route in pages - facts.routes() - {"/tmp"}:
        yield f"no page {route}"
    for port in set(re.findall(r"127\.0\.0\.1:(\d+)", page)) - {str(facts.DEFAULTS["metrics_port"])}:
        yield f"no port {port}"
    yield from _numbers(page)


def _numbers(page: str) -> Iterator[str]:
    defaults = facts.settings_of([], {})
    for key, told in re.findall(r"`--([\w-]+)` \((\d+) s\)", page):
        if float(told) != getattr(defaults, key.replace("-", "_") + "_s"):
            yield f"--{key} is not {told} s"
    rest = facts.longest_stop_s(defaults) - defaults.drain_timeout_s - defaults.cancel_timeout_s
    if f"up to {rest:g} s more" not in page:
        yield f"the rest of a stop takes {rest:g} s"
    for value in (UNIT["TimeoutStopSec"], str(POD["spec"]["terminationGracePeriodSeconds"])):
        if f"wait {value} s" not in page:
            yield f"the files wait {value} s"
    rows = {int(code) for row in re.findall(r"^\| ([\d, ]+):", page, re.M) for code in row.split(", ")}
    if strangers := rows - CODES:
        yield f"no exit code {strangers}"
    unheard = set(map(int, f"{UNIT['RestartPreventExitStatus']} {UNIT['SuccessExitStatus']} 0".split())) - rows
    if unheard:
        yield f"exit codes of the unit that the table leaves out: {unheard}"
    if f"started again after {UNIT['RestartSec']} s" not in page:
        yield f"RestartSec is {UNIT['RestartSec']}"


def test_the_page_names_only_what_exists() -> None:
    assert [] == list(problems(PAGE))
    assert {"--procs", "--drain-timeout", "--cancel-timeout"} == set(re.findall(r"`(--[a-z-]+)", PAGE)) & FLAGS


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "apply -f deploy/kubernetes/asyncq.yaml",
            "apply -f deploy/kubernetes/asyncq.yml",
            "no file deploy/kubernetes",
        ),
        ("../../deploy/prometheus/scrape.yml", "../../deploy/scrape.yml", "no file ../../deploy/scrape.yml"),
        ("`--procs auto`", "`--processes auto`", "no flag --processes"),
        ("`ASYNCQ_APP`", "`ASYNCQ_MODULE`", "no variable ASYNCQ_MODULE"),
        ("`/livez`", "`/healthz`", "no page /healthz"),
        ("127.0.0.1:9464/readyz", "127.0.0.1:9464/ready", "no page /ready"),
        ("127.0.0.1:9464", "127.0.0.1:9090", "no port 9090"),
        ("`--cancel-timeout` (3 s)", "`--cancel-timeout` (5 s)", "--cancel-timeout is not 5 s"),
        ("up to 15 s more", "up to 5 s more", "the rest of a stop takes 15 s"),
        ("| 75: ", "| 76: ", "no exit code {76}"),
        ("| 75: ", "| 69: ", "the table leaves out: {75}"),
        ("started again after 5 s", "started again after 2 s", "RestartSec is 5"),
    ],
)
def test_a_mistake_on_the_page_is_found(old: str, new: str, sentence: str) -> None:
    expect(sentence, list(problems(planted(PAGE, old, new))))
