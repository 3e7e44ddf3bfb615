"""The test suite against an installed wheel: a copy of everything but the package, run in a clean environment.

Used by `python -m tests.wheel`. The tests put the folder above them on sys.path, so the package must not lie there:
what they import is then the wheel's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.wheel.archives import ROOM_LINKS
from tests.wheel.building import NOT_COPIED, ROOT
from tests.wheel.venvs import InstallError, Venv, base_python, clean_environ, make_venv

NEWEST = "newest"
_WHERE = "import asyncq, platform, redis; print(platform.python_version(), redis.__version__, asyncq.__file__)"


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of the matrix.

    Attributes:
        python: An interpreter that exists.
        redis: Of redis-py: "newest", or the first numbers of a version ("5.3").
    """

    python: str
    redis: str

    @property
    def requirement(self) -> str:
        return "redis" if self.redis == NEWEST else f"redis=={self.redis}.*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one cell; `trouble` says in words what no number says."""

    python: str
    redis: str
    passed: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    trouble: str = ""

    @property
    def good(self) -> bool:
        return not self.failed and not self.trouble


def copy_away(folder: Path) -> Path:
    """Everything of the checkout but the package and the links into it."""
    everywhere = shutil.ignore_patterns(*NOT_COPIED)

    def ignored(where: str, names: list[str]) -> set[str]:
        here = {"asyncq", "build", "dist", *ROOM_LINKS} if Path(where) == ROOT else set()
        return everywhere(where, names) | here

    shutil.copytree(ROOT, folder, symlinks=True, ignore=ignored)
    return folder


def run_cell(cell: Cell, wheel: Path, folder: Path, pytest_arguments: Sequence[str]) -> Result:
    """Install the wheel with its test extra beside one redis-py, and run the tests against it."""
    venv = make_venv(folder / "venv", cell.python)
    away = copy_away(folder / "away")
    try:
        venv.install(f"{wheel}[test]", cell.requirement)
    except InstallError as error:
        return Result(python=Path(cell.python).name, redis=cell.redis, trouble=f"not installed: {error}")
    python, redis, imported = venv.says(_WHERE, away).split(maxsplit=2)
    if not is_installed(imported, venv):
        return Result(python=python, redis=redis, trouble=f"asyncq was imported from {imported}, not from the wheel")
    print(f"\n== Python {python}, redis-py {redis}: {imported}", flush=True)
    report = folder / "report.xml"
    command = [venv.python, "-m", "pytest", "-q", f"--junit-xml={report}", *pytest_arguments]
    path = f"{venv.bin}{os.pathsep}{os.environ.get('PATH', '')}"
    code = subprocess.run(command, cwd=away, env=clean_environ(PATH=path), check=False).returncode
    return read_report(report, python, redis, code)


def is_installed(imported: str, venv: Venv) -> bool:
    """Whether a module lies in the environment's site-packages."""
    path = Path(imported).resolve()
    return path.is_relative_to(venv.folder.resolve()) and "site-packages" in path.parts


def read_report(report: Path, python: str, redis: str, code: int) -> Result:
    """The numbers of a JUnit report; an end of pytest that they do not explain is trouble."""
    if not report.exists():
        return Result(python=python, redis=redis, trouble=f"pytest ended with {code} and left no report")
    suites = list(ET.parse(report).getroot().iter("testsuite"))

    def total(*names: str) -> int:
        return sum(int(suite.get(name, 0)) for suite in suites for name in names)

    failed, skipped = total("failures", "errors"), total("skipped")
    return Result(
        python=python,
        redis=redis,
        passed=total("tests") - failed - skipped,
        skipped=skipped,
        failed=failed,
        seconds=sum(float(suite.get("time", 0)) for suite in suites),
        trouble=f"pytest ended with {code}" if code and not failed else "",
    )


def table(results: Sequence[Result]) -> str:
    """One line per cell, and below it what went wrong besides tests."""
    lines = [f"{'python':<10}{'redis-py':<10}{'passed':>8}{'skipped':>9}{'failed':>8}{'seconds':>9}"]
    for result in results:
        lines.append(
            f"{result.python:<10}{result.redis:<10}{result.passed:>8}{result.skipped:>9}{result.failed:>8}"
            f"{result.seconds:>9.1f}"
        )
        if result.trouble:
            lines.append(f"  {result.trouble}")
    return "\n".join(lines)


def probe(name: str) -> tuple[str | None, str]:
    """The path of an interpreter that works and is new enough, or None and why not."""
    path = shutil.which(name)
    if path is None:
        return None, "not found"
    try:
        return base_python(path), ""
    except subprocess.CalledProcessError as error:
        return None, (error.stderr.strip() or "it does not run").splitlines()[0]
