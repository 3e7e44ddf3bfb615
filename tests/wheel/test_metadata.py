"""What a registry and an installer read about the wheel."""

from __future__ import annotations

import re
import tomllib
import zipfile
from configparser import ConfigParser
from email.message import Message

import pytest

import asyncq
from tests.wheel.archives import body, metadata, values
from tests.wheel.building import NO_CHECKOUT, ROOT, Built, is_checkout

if not is_checkout():
    pytest.skip(NO_CHECKOUT, allow_module_level=True)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def said(built: Built) -> Message:
    return metadata(built.wheel)


def in_wheel(built: Built, name: str) -> str:
    with zipfile.ZipFile(built.wheel) as wheel:
        return wheel.read(f"asyncq_supervise-{asyncq.__version__}.dist-info/{name}").decode()


@pytest.mark.parametrize(
    ("expected", "header"),
    [
        ("asyncq-supervise", "Name"),
        (asyncq.__version__, "Version"),
        ("Apache-2.0", "License-Expression"),
        ("LICENSE", "License-File"),
        (">=3.11", "Requires-Python"),
        ("text/markdown", "Description-Content-Type"),
        (PROJECT["description"], "Summary"),
    ],
)
def test_the_metadata_says_what_the_project_says(said: Message, expected: str, header: str) -> None:
    assert [expected] == list(values(said, header))


def test_each_supported_python_is_a_classifier(said: Message) -> None:
    found = {line.rpartition(" ")[2] for line in values(said, "Classifier") if re.search(r":: 3\.\d+$", line)}
    assert {"3.11", "3.12", "3.13"} == found


def test_every_extra_is_there_with_what_it_brings(said: Message) -> None:
    requirements = values(said, "Requires-Dist")

    assert {"embedded", "testing", "examples", "test", "lint"} == set(values(said, "Provides-Extra"))
    assert len(PROJECT["dependencies"]) == len([line for line in requirements if "extra ==" not in line])
    for extra, wanted in PROJECT["optional-dependencies"].items():
        assert len(wanted) == len([line for line in requirements if f'extra == "{extra}"' in line]), extra


def test_the_readme_is_the_description(said: Message) -> None:
    assert (ROOT / "README.md").read_text().strip() == body(said).strip()


def test_the_commands_are_entry_points(built: Built) -> None:
    entries = ConfigParser()
    entries.read_string(in_wheel(built, "entry_points.txt"))

    assert {"console_scripts": PROJECT["scripts"]} == {name: dict(entries[name]) for name in entries.sections()}
    assert {"asyncq", "asyncq-supervise"} == set(PROJECT["scripts"])


def test_the_wheel_is_for_every_platform_and_brings_one_import_name(built: Built) -> None:
    assert f"asyncq_supervise-{asyncq.__version__}-py3-none-any.whl" == built.wheel.name
    assert "Root-Is-Purelib: true" in in_wheel(built, "WHEEL").splitlines()
    assert "asyncq" == in_wheel(built, "top_level.txt").strip()
