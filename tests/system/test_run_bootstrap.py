"""`./run` without touching the network: what it says, what it refuses, what it becomes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run"), *arguments],
        env={**os.environ, **environ}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def interpreter(folder: Path, body: str) -> str:
    """A program that answers like an interpreter."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def copied(folder: Path) -> Path:
    """The bootstrap in a checkout of its own, so that no environment of anybody is touched."""
    for name in ("run", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder / name)
    return folder / "run"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_is_printed_when_asked_for_or_nothing_is_asked(arguments):
    done = run(*arguments)
    assert "./run COMMAND [ARG ...]" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_interpreter_that_is_too_old_is_refused_in_one_sentence(tmp_path):
    old = interpreter(tmp_path, "echo '3.9.2 (default) /usr'; exit 1")
    done = run("pytest", PYTHON=old)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"./run: needs Python 3.11 or newer; {old} is 3.9.2;")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ("pyenv: python3.12: command not found", "echo 'pyenv: python3.12: command not found' >&2; exit 127"),
        ("it says nothing", "exit 127"),
    ],
)
def test_interpreter_that_does_not_run_is_quoted(tmp_path, said, body):
    broken = interpreter(tmp_path, body)
    done = run("pytest", PYTHON=broken)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{broken} is no interpreter that runs ({said});" in done.stderr
    assert done.stderr.count("\n") == 1


def test_interpreter_that_is_not_there_is_refused():
    done = run("pytest", PYTHON="python9.9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("./run: ")
    assert "python9.9" in done.stderr


def test_install_that_fails_is_quoted_and_leaves_no_stamp(tmp_path):
    real = f'[ "$1" = -c ] && exec {sys.executable} "$@"\necho no network >&2\nexit 7'
    done = subprocess.run(
        [sys.executable, str(copied(tmp_path)), "true"],
        env={**os.environ, "PYTHON": interpreter(tmp_path, real)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no network" in done.stderr
    assert "./run: could not prepare .venv" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".venv" / "asyncq-stamp").exists()
