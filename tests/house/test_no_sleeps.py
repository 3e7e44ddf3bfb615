"""Tests wait for states, never for time: no sleep but of 0 outside tests/support/states.py. Standard library only.

Allowed where time itself is the work (a handler that takes a while, a process that only has to be there), with
`# sleeps: <reason>` on the line. Programs in text count as well.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
WAITS = TESTS / "support" / "states.py"
OWNERS = {"time", "asyncio", "anyio", "trio"}
MARK = re.compile(r"# sleeps: \w\S* \w")
IN_TEXT = re.compile(r"\b(?:time|asyncio|anyio|trio)\.sleep\((?!0\))")


def sleeps(source: str) -> list[int]:
    """Lines on which somebody sleeps, or hands a sleep on, without the mark. Pure."""
    tree, lines = ast.parse(source), source.splitlines()
    found = {*_in_code(tree), *_in_text(tree, lines)}
    return sorted(number for number in found if not MARK.search(lines[number - 1]))


def _in_code(tree: ast.Module) -> Iterator[int]:
    modules, functions = _names(tree)
    of_nothing = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_zero(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ast.Name(owner), "sleep") if owner in modules and id(node) not in of_nothing:
                yield node.lineno
            case ast.Name(name, ast.Load()) if name in functions and id(node) not in of_nothing:
                yield node.lineno


def _names(tree: ast.Module) -> tuple[set[str], set[str]]:
    """What the modules with a sleep, and the sleeps themselves, are called in this file."""
    modules, functions = set(), set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                modules |= {alias.asname or alias.name for alias in names if alias.name in OWNERS}
            case ast.ImportFrom(owner, names) if owner in OWNERS:
                functions |= {alias.asname or alias.name for alias in names if alias.name == "sleep"}
    return modules, functions


def _is_zero(call: ast.Call) -> bool:
    match call.args:
        case [ast.Constant(value)]:
            return type(value) is int and value == 0
    return False


def _in_text(tree: ast.Module, lines: list[str]) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and IN_TEXT.search(node.value):
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                if IN_TEXT.search(lines[number - 1]):
                    yield number


@pytest.mark.parametrize("path", sorted(set(TESTS.rglob("*.py")) - {WAITS, Path(__file__)}), ids=lambda path: path.name)
def test_nobody_sleeps_to_wait_for_a_state(path: Path) -> None:
    assert [] == sleeps(path.read_text())


@pytest.mark.parametrize(
    "planted",
    [
        "import time; time.sleep(1)",
        "import time; time.sleep(0.0)",
        "import time; time.sleep(x)",
        "import time as t; t.sleep(1)",
        "from time import sleep; sleep(1)",
        "from time import sleep as nap; nap(1)",
        "import asyncio\nasync def f(): await asyncio.sleep(0.1)",
        "from asyncio import sleep\nasync def f(): await sleep(0.1)",
        "import asyncio, time\nasync def f(): await asyncio.to_thread(time.sleep, 1)",
        "import time; nap = time.sleep",
        "import anyio\nasync def f(): await anyio.sleep(0.1)",
        "import time; time.sleep(1)  # sleeps:",
        "import time; time.sleep(1)  # it has to",
        "PROGRAM = '''\nimport time\ntime.sleep(60)\n'''",
        "run([python, '-c', 'import asyncio; asyncio.run(asyncio.sleep(1))'])",
    ],
)
def test_a_sleep_is_found_when_it_is_planted(planted: str) -> None:
    assert len(sleeps(planted)) == 1


@pytest.mark.parametrize(
    "harmless",
    [
        "import asyncio\nasync def f(): await asyncio.sleep(0)",
        "import time; time.sleep(1)  # sleeps: the handler takes a second",
        "PROGRAM = '''\nimport time\ntime.sleep(60)  # sleeps: somebody has to be there\n'''",
        "monkeypatch.setattr(asyncio, 'sleep', note)",
        "async def sleep(delay_s): slept.append(delay_s)",
        "'they never sleep(1)'",
        "snooze.sleep(1)",
    ],
)
def test_nothing_is_found_when_nobody_waits_for_time(harmless: str) -> None:
    assert [] == sleeps(harmless)
