"""Runs one test against a copy of the checkout with one mechanism taken away. The checkout itself is only read.

Used by `python -m tests.mutations` and by the tests of this folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.catalogue import Change, Mutation
from tests.wheel.building import copy_checkout

LONGEST_S = 300.0
# Not needed, and together half of the time that pytest takes to start.
_PLUGINS = ("randomly", "cacheprovider", "hypothesispytest", "anyio")
_WHERE = "import asyncq; print(asyncq.__file__)"


class OutOfDateError(Exception):
    """The source does not say what a mutation takes away."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What pytest said.

    Attributes:
        failed: Tests that failed; errors of fixtures are not among them.
        passed: Tests that passed.
        trouble: Why it judged nothing: not found, not collected, not ended in time; empty if it judged.
        said: The end of what it wrote.
    """

    failed: int
    passed: int
    seconds: float
    trouble: str = ""
    said: str = ""


class Bench:
    """A copy of the checkout in which tests are run.

    Args:
        folder: Where it is made; it must not exist.
        arguments: Given to pytest before the tests.

    Raises:
        AssertionError: Python finds another asyncq there than the copy.
    """

    def __init__(self, folder: Path, arguments: Sequence[str] = ()) -> None:
        self.folder = copy_checkout(folder)
        without = [part for plugin in _PLUGINS for part in ("-p", f"no:{plugin}")]
        self._arguments = [*arguments, *without, "-n0", "-q", "--tb=line"]
        self._environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": ""}
        self._changed = int(time.time()) - 1_000_000
        found = self._python("-c", _WHERE).stdout.strip()
        assert Path(found).is_relative_to(folder), f"asyncq was imported from {found}, not from the copy {folder}"

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """Without one mechanism, and after that as before.

        Raises:
            OutOfDateError: some text is not there, or more than once; nothing was changed.
        """
        before = {change.path: (self.folder / change.path).read_text(encoding="utf-8") for change in mutation.changes}
        after = dict(before)
        for change in mutation.changes:
            after[change.path] = changed(after[change.path], change)
        try:
            for path, text in after.items():
                self._write(path, text)
            yield
        finally:
            for path, text in before.items():
                self._write(path, text)

    def _write(self, path: str, text: str) -> None:
        """With a time of its own: Python knows a compiled file by the seconds and the size of its source."""
        self._changed += 1
        (self.folder / path).write_text(text, encoding="utf-8")
        os.utime(self.folder / path, (self._changed, self._changed))

    def run(self, tests: Sequence[str], longest_s: float = LONGEST_S) -> Ran:
        """These tests, in one pytest."""
        began = time.monotonic()
        try:
            done = self._python("-m", "pytest", *self._arguments, *tests, longest_s=longest_s)
        except subprocess.TimeoutExpired:
            return Ran(0, 0, time.monotonic() - began, f"not ended after {longest_s:.0f} s")
        return judged(done.returncode, done.stdout, time.monotonic() - began)

    def _python(self, *arguments: str, longest_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=longest_s,
        )


def changed(text: str, change: Change) -> str:
    """`text` with the change made.

    Raises:
        OutOfDateError: what it replaces is not there exactly once.
    """
    count = text.count(change.old)
    if count != 1:
        raise OutOfDateError(
            f"expected once in {change.path}, found {count} times: {change.old.strip()!r}; "
            "bring tests/mutations/catalogue.py up to date"
        )
    return text.replace(change.old, change.new)


def judged(code: int, said: str, seconds: float) -> Ran:
    """What an exit code and the last lines of pytest mean."""
    last = said.strip().splitlines()[-1] if said.strip() else ""
    failed, passed = (_number(word, last) for word in ("failed", "passed"))
    trouble = "" if code in (0, 1) and failed + passed else f"pytest ended with {code}: {last}"
    return Ran(failed, passed, seconds, trouble, said[-2000:])


def _number(word: str, line: str) -> int:
    found = re.search(rf"(\d+) {word}", line)
    return int(found[1]) if found else 0
