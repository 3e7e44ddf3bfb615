"""Clean virtual environments, filled by the interpreter's own pip or by uv, as `./run` fills its own.

Used by the fixtures of this folder and by `python -m tests.wheel`. Nothing of the environment that runs the tests
gets into them: no ensurepip is needed, no installed package is seen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

INSTALL_TIMEOUT_S = 600
# What would lead a process back to the environment or the checkout that started it, or to this machine's settings.
STRANGE = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTEST_ADDOPTS", "REDIS_URL")

_BASE = """
import os, sys
if sys.version_info < (3, 11):
    sys.exit("older than 3.11")
print(os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2]))
"""


class InstallError(Exception):
    """An environment could not be filled; holds what the installer said."""


class RegistryUnreachableError(InstallError):
    """The registry did not answer, so that nothing is known about what was to be installed."""


def clean_environ(**more: str) -> dict[str, str]:
    """This process's environment without what is its own."""
    kept = {key: value for key, value in os.environ.items() if key not in STRANGE and not key.startswith("ASYNCQ_")}
    return {**kept, **more}


def base_python(python: str = sys.executable) -> str:
    """The interpreter that an environment was made from: it has pip, an environment of `./run` has not.

    Raises:
        subprocess.CalledProcessError: `python` does not run or is older than 3.11; holds what it said.
    """
    done = subprocess.run([python, "-c", _BASE], env=clean_environ(), capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Venv:
    """A virtual environment.

    Attributes:
        folder: Where it lies.
        base: The interpreter that it was made from.
    """

    folder: Path
    base: str

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def python(self) -> str:
        return str(self.bin / "python")

    def install(self, *arguments: str) -> None:
        """Install requirements.

        Raises:
            RegistryUnreachableError: the registry did not answer.
            InstallError: anything else went wrong.
        """
        command = [*self._installer(), *arguments]
        done = subprocess.run(
            command, env=clean_environ(), capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
        if done.returncode:
            said = done.stdout + done.stderr
            kind = RegistryUnreachableError if is_unreachable(said) else InstallError
            raise kind(f"`{' '.join(command)}` ended with {done.returncode}: {said.strip()[-3000:]}")

    def _installer(self) -> list[str]:
        if shutil.which("uv"):
            return ["uv", "pip", "install", "-q", "--python", self.python]
        patience = ["--retries", "2", "--timeout", "30"]
        return [
            self.base,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--python",
            self.python,
            "install",
            "-q",
            *patience,
        ]

    def says(self, program: str, folder: Path) -> str:
        """What a program prints that its interpreter runs in a folder."""
        command = [self.python, "-c", program]
        done = subprocess.run(command, cwd=folder, env=clean_environ(), stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.strip()


def make_venv(folder: Path, base: str) -> Venv:
    """An empty environment; Debian's Python has no ensurepip, so it gets no pip of its own."""
    subprocess.run([base, "-m", "venv", "--without-pip", str(folder)], env=clean_environ(), check=True)
    return Venv(folder, base)


def is_unreachable(said: str) -> bool:
    """Whether an installer failed because the registry did not answer. Pure.

    A version that does not exist, a conflict or a package that does not build is a failure, also on a bad line: only
    a broken connection after which nothing at all was found counts.
    """
    found_nothing = "after connection broken by" in said and "(from versions: none)" in said
    broke_off = "Max retries exceeded with url" in said
    uv = "Failed to fetch" in said and "error sending request" in said
    return found_nothing or broke_off or uv
