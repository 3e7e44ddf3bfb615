"""`python -m tests.wheel`: what it is asked for, what it finds, what it makes of the numbers. No suite is run here."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.wheel.__main__ import interpreters, main, parse, take_interrupts
from tests.wheel.away import Cell, Result, copy_away, is_installed, probe, read_report, table
from tests.wheel.building import NO_CHECKOUT, is_checkout
from tests.wheel.venvs import Venv, base_python

REPORT = """<testsuites><testsuite errors="1" failures="2" skipped="3" tests="10" time="4.5"/></testsuites>"""


def program(folder: Path, body: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_all_combinations_are_asked_for_by_default() -> None:
    options, pytest_arguments = parse([])
    assert (None, ("5.3", "newest"), []) == (options.python, options.redis, pytest_arguments)


def test_what_stands_after_two_dashes_goes_to_pytest() -> None:
    arguments = ["--python", "python3.12", "python3.13", "--redis", "6.4", "--", "-x", "tests/unit", "--redis", "7"]
    options, pytest_arguments = parse(arguments)
    assert (["python3.12", "python3.13"], ["6.4"]) == (options.python, options.redis)
    assert ["-x", "tests/unit", "--redis", "7"] == pytest_arguments


@pytest.mark.parametrize(("expected", "redis"), [("redis==5.3.*", "5.3"), ("redis", "newest")])
def test_a_redis_py_is_asked_for_by_its_first_numbers(expected: str, redis: str) -> None:
    assert expected == Cell("python3.12", redis).requirement


def test_an_interpreter_is_found_and_is_no_virtual_environments() -> None:
    path, why = probe(sys.executable)
    assert (True, "") == (path is not None and Path(path).resolve() == Path(sys.executable).resolve(), why)
    assert not Path(str(path)).is_relative_to(sys.prefix) or sys.prefix == sys.base_prefix


@pytest.mark.parametrize(
    ("why", "body"),
    [
        ("older than 3.11", "echo older than 3.11 >&2; exit 1"),
        ("pyenv: python3.12: command not found", "echo 'pyenv: python3.12: command not found' >&2; exit 127"),
        ("it does not run", "exit 127"),
    ],
)
def test_an_interpreter_that_does_not_do_is_left_out_with_the_reason(tmp_path: Path, why: str, body: str) -> None:
    name = program(tmp_path, body)
    assert ([base_python()], [f"{name} is left out: {why}"]) == interpreters([name, sys.executable])


def test_interrupts_work_again_when_a_script_started_it_in_the_background() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        take_interrupts()
        assert signal.default_int_handler is signal.getsignal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not is_checkout(), reason=NO_CHECKOUT)
def test_an_interpreter_that_was_named_and_is_not_there_ends_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["--python", sys.executable, "python9.9"])
    assert ("", "tests.wheel: python9.9 is left out: not found\n") == capsys.readouterr()


def test_the_numbers_of_a_run_come_from_its_report(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    expected = Result(python="3.12.1", redis="5.3.1", passed=4, skipped=3, failed=3, seconds=4.5)
    assert expected == read_report(path, "3.12.1", "5.3.1", 1)


@pytest.mark.parametrize(("report", "code"), [(None, 4), (REPORT.replace('"1"', '"0"').replace('"2"', '"0"'), 5)])
def test_an_end_of_pytest_that_no_failure_explains_is_no_success(tmp_path: Path, report: str | None, code: int) -> None:
    path = tmp_path / "report.xml"
    if report:
        path.write_text(report)
    result = read_report(path, "3.12.1", "5.3.1", code)
    assert f"pytest ended with {code}" in result.trouble
    assert (False, 0) == (result.good, result.failed)


def test_the_table_has_a_line_per_cell_and_says_the_trouble() -> None:
    good = Result(python="3.11.7", redis="5.3.1", passed=1143, skipped=2, seconds=30.44)
    bad = Result(python="3.13.0", redis="newest", trouble="not installed: no wheel")
    assert (
        "python    redis-py    passed  skipped  failed  seconds\n"
        "3.11.7    5.3.1         1143        2       0     30.4\n"
        "3.13.0    newest           0        0       0      0.0\n"
        "  not installed: no wheel"
    ) == table([good, bad])
    assert (True, False) == (good.good, bad.good)


@pytest.mark.parametrize(
    "failed", [Result(python="3", redis="5", failed=1), Result(python="3", redis="5", trouble="x")]
)
def test_one_failure_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, failed: Result) -> None:
    good = Result(python="3", redis="5", passed=1)
    monkeypatch.setattr("tests.wheel.__main__.is_checkout", lambda: True)
    for code, results in ((0, [good]), (1, [good, failed])):
        monkeypatch.setattr("tests.wheel.__main__.run", lambda *_, results=results: results)
        assert code == main(["--python", sys.executable])


def test_a_module_of_the_checkout_is_not_taken_for_an_installed_one(tmp_path: Path) -> None:
    venv = Venv(tmp_path / "venv", sys.executable)
    inside = tmp_path / "venv/lib/python3.12/site-packages/asyncq/__init__.py"
    assert is_installed(str(inside), venv)
    assert not is_installed(str(tmp_path / "checkout/asyncq/__init__.py"), venv)
    assert not is_installed(str(tmp_path / "venv/asyncq/__init__.py"), venv)


@pytest.mark.skipif(not is_checkout(), reason=NO_CHECKOUT)
def test_the_tests_are_taken_away_without_the_package(tmp_path: Path) -> None:
    away = copy_away(tmp_path / "away")

    names = {path.name for path in away.iterdir()}
    assert {"tests", "examples", "benchmarks", "docs", "README.md", "pyproject.toml", "run"} <= names
    assert set() == names & {"asyncq", "worker", "supervisor", "metrics", ".git", ".venv"}
    assert (away / "tests/unit/worker").is_dir()
