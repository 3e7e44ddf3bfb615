"""`python -m tests.wheel`: the test suite against the wheel, per interpreter and per redis-py.

    python -m tests.wheel [--python NAME ...] [--redis VERSION ...] [-- PYTEST-ARGUMENT ...]

Builds the wheel, installs it with its test extra in a clean environment for each combination, runs the tests there
without the checkout's package, and prints a table. Exit code: 0 all passed, 1 something failed, 2 an interpreter that
was named does not exist. Takes as many minutes as the suite, per combination.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.wheel.away import NEWEST, Cell, Result, probe, run_cell, table
from tests.wheel.building import NO_CHECKOUT, BuildError, build_both, copy_checkout, is_checkout, make_builder
from tests.wheel.venvs import InstallError, base_python

PYTHONS = ("python3.11", "python3.12", "python3.13")
REDIS = ("5.3", NEWEST)  # the oldest that pyproject.toml allows, and what a registry gives today


def main(arguments: Sequence[str]) -> int:
    """Run the matrix. Returns the exit code."""
    options, pytest_arguments = parse(arguments)
    take_interrupts()
    if not is_checkout():
        print(f"tests.wheel: {NO_CHECKOUT}", file=sys.stderr)
        return 2
    named = options.python is not None
    found, missing = interpreters(options.python or PYTHONS)
    for sentence in missing:
        print(f"tests.wheel: {sentence}", file=sys.stderr)
    if not found or (named and missing):
        return 2
    cells = [Cell(python, redis) for python in found for redis in options.redis]
    with tempfile.TemporaryDirectory(prefix="asyncq-wheel-") as folder:
        try:
            results = run(cells, Path(folder), pytest_arguments)
        except (BuildError, InstallError) as error:
            print(f"tests.wheel: no wheel: {error}", file=sys.stderr)
            return 1
    print(f"\n{table(results)}", flush=True)
    return 0 if all(result.good for result in results) else 1


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and what stands after `--` for pytest."""
    ours = list(arguments)
    cut = ours.index("--") if "--" in ours else len(ours)
    parser = argparse.ArgumentParser(prog="python -m tests.wheel", description="The test suite against the wheel.")
    parser.add_argument(
        "--python", nargs="+", metavar="NAME", help=f"default: those of {', '.join(PYTHONS)} that exist"
    )
    parser.add_argument("--redis", nargs="+", metavar="VERSION", default=REDIS, help="redis-py; default: 5.3 newest")
    parser.epilog = "What stands after -- goes to pytest."
    return parser.parse_args(ours[:cut]), ours[cut + 1 :]


def take_interrupts() -> None:
    """In the background of a script SIGINT is ignored, and all the tests start would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def interpreters(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Paths of those that exist, and a sentence for each that does not."""
    found, missing = [], []
    for name in names:
        path, why = probe(name)
        if path is None:
            missing.append(f"{name} is left out: {why}")
        else:
            found.append(path)
    return found, missing


def run(cells: Sequence[Cell], folder: Path, pytest_arguments: Sequence[str]) -> list[Result]:
    """Build once; then one cell after the other."""
    source = copy_checkout(folder / "checkout")
    built = build_both(make_builder(folder / "builder", base_python(), source), source, folder / "dist")
    results = []
    for number, cell in enumerate(cells):
        place = folder / str(number)
        place.mkdir()
        results.append(run_cell(cell, built.wheel, place, pytest_arguments))
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
