"""Builds the sdist from a copy of the checkout, and from the sdist the wheel, as a release would.

Used by the fixtures of this folder and by `python -m tests.wheel`. The copy keeps what only this machine has out of
the build, and the build's traces out of the checkout.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from build import ProjectBuilder

from tests.wheel.venvs import Venv, clean_environ, make_venv

ROOT = Path(__file__).resolve().parents[2]
# Large, or changed by others while it is copied.
NOT_COPIED = (
    *(".git", ".venv", ".venv.lock", ".asyncq", "__pycache__", "node_modules", "*.egg-info"),
    *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"),
)
NO_CHECKOUT = "no checkout: the package does not lie beside the tests"


class BuildError(Exception):
    """The build backend failed; holds what it said."""


@dataclass(frozen=True, slots=True)
class Built:
    """What one build made."""

    sdist: Path
    wheel: Path
    unpacked: Path  # what the wheel was built from


def is_checkout(root: Path = ROOT) -> bool:
    """Whether there is something to build: in a folder of tests that run against an installed wheel there is not."""
    return (root / "asyncq").is_dir() and (root / "pyproject.toml").is_file()


def copy_checkout(folder: Path) -> Path:
    """The checkout without environments and caches, links as links."""
    shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
    return folder


def make_builder(folder: Path, base: str, source: Path) -> Venv:
    """An environment with what `source` says it needs to be built, and nothing else.

    Raises:
        InstallError: it could not be filled.
    """
    venv = make_venv(folder, base)
    project = _project(venv, source)
    venv.install(*sorted(project.build_system_requires))
    more = project.get_requires_for_build("sdist") | project.get_requires_for_build("wheel")
    if more:
        venv.install(*sorted(more))
    return venv


def build_both(builder: Venv, source: Path, out: Path) -> Built:
    """The sdist of `source`, and the wheel of that sdist.

    Raises:
        BuildError: the backend failed.
    """
    sdist = Path(_project(builder, source).build("sdist", out))
    inner = unpack(sdist, out / "unpacked")
    wheel = Path(_project(builder, inner).build("wheel", out))
    return Built(sdist, wheel, inner)


def unpack(sdist: Path, folder: Path) -> Path:
    """The one folder that an sdist holds."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (inner,) = folder.iterdir()
    return inner


def _project(builder: Venv, source: Path) -> ProjectBuilder:
    return ProjectBuilder(source, builder.python, runner=_run_backend)


def _run_backend(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        cmd, cwd=cwd, env=clean_environ(**extra_environ or {}), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"the build backend ended with {done.returncode}: {(done.stdout + done.stderr)[-5000:]}")
