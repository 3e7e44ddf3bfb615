"""A registry that does not answer is told from an installation that fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.wheel.venvs import (
    InstallError,
    RegistryUnreachableError,
    Venv,
    base_python,
    clean_environ,
    is_unreachable,
    make_venv,
)

NOTHING_FOUND = """\
ERROR: Could not find a version that satisfies the requirement setuptools>=77 (from versions: none)
ERROR: No matching distribution found for setuptools>=77
"""
BROKEN = (
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken "
    "by 'NewConnectionError('<HTTPSConnection>: Failed to establish a new connection: [Errno -3] Temporary failure in "
    "name resolution')': /simple/setuptools/\n"
)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (True, BROKEN + NOTHING_FOUND),
        (True, "ERROR: HTTPSConnectionPool(host='f', port=443): Max retries exceeded with url: /a.whl (Caused by ...)"),
        (
            True,
            "error: Failed to fetch: `https://r/simple/a/`\n  Caused by: error sending request for url (https://r/)",
        ),
        (False, NOTHING_FOUND),
        (False, BROKEN + "ERROR: No matching distribution found for a>9 (from versions: 1.0, 2.0)"),
        (False, BROKEN + "ERROR: Cannot install a because these package versions have conflicting dependencies."),
        (False, BROKEN + "error: subprocess-exited-with-error"),
        (False, "error: Failed to fetch: `https://r/simple/a/`\n  Caused by: HTTP status client error (404 Not Found)"),
        (False, ""),
    ],
)
def test_only_a_registry_that_does_not_answer_is_unreachable(expected: bool, said: str) -> None:
    assert expected == is_unreachable(said)


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Venv:
    return make_venv(tmp_path_factory.mktemp("venvs") / "venv", base_python())


def test_a_registry_behind_a_closed_port_is_unreachable(venv: Venv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(RegistryUnreachableError, match="no-such-package"):
        venv.install("--index-url", "http://127.0.0.1:1/simple", "no-such-package")


def test_a_package_that_is_not_there_is_a_failure(venv: Venv) -> None:
    with pytest.raises(InstallError) as caught:
        venv.install("--no-index", "no-such-package")
    assert type(caught.value) is InstallError


def test_a_clean_environment_sees_nothing_of_ours(venv: Venv, tmp_path: Path) -> None:
    program = "import importlib.util as u; print([u.find_spec(n) for n in ('asyncq', 'pytest', 'pip')])"
    assert "[None, None, None]" == venv.says(program, tmp_path)


def test_a_clean_environment_has_no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASYNCQ_REDIS_URL", "REDIS_URL", "PYTHONPATH", "VIRTUAL_ENV", "PYTEST_ADDOPTS"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("PIP_CERT", "kept")

    assert {"PIP_CERT": "kept"} == {key: value for key, value in clean_environ().items() if value in ("x", "kept")}
