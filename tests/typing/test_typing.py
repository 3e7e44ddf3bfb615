"""A strict type checker accepts the public API as it is meant to be used and finds wrong payloads and options."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
MARK = re.compile(r"# error: ([a-z-]+)$")
FOUND = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$")

Errors = set[tuple[str, int, str]]


@pytest.fixture(scope="module")
def errors() -> Errors:
    """(file, line, code) of every error that mypy finds in this folder's samples."""
    api = pytest.importorskip("mypy.api", reason="mypy is not installed")
    samples = [str(FOLDER / name) for name in ("good_use.py", "mistakes.py")]
    out, err, _ = api.run(["--strict", "--config-file=", "--hide-error-context", "--no-pretty", *samples])
    assert "" == err
    lines = [line for line in out.splitlines() if ": error: " in line]
    found = [FOUND.match(line) for line in lines]
    assert all(found), lines
    return {(Path(match["file"]).name, int(match["line"]), match["code"]) for match in found if match}


def marked(name: str) -> Errors:
    lines = (FOLDER / name).read_text().splitlines()
    return {(name, number, mark[1]) for number, line in enumerate(lines, 1) if (mark := MARK.search(line))}


def test_nothing_is_wrong_with_good_use(errors: Errors) -> None:
    assert set() == {error for error in errors if error[0] == "good_use.py"}


def test_every_mistake_is_found_where_it_stands(errors: Errors) -> None:
    expected = marked("mistakes.py")

    assert expected == {error for error in errors if error[0] == "mistakes.py"}
    assert 21 == len(expected)
