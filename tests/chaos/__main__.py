"""`python -m tests.chaos [CASE ... | all] [--full] [--seed N] [--redis-server PATH] [--json FILE]`: the fault tests.

Prints one line per case with its figures and its seed, and appends one JSON line each to FILE. Exit code: 0 all that
ran passed, 1 something failed.
"""

import argparse
import importlib
import random
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from asyncq.broker.embedded_binary import find_binary
from tests.chaos.verdict import CASES, Scale, Verdict, json_line, line, run_case
from tests.support import redis_servers


def import_cases() -> None:
    """Every module of this folder that enters cases."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if "@case(" in path.read_text():
            importlib.import_module(f"tests.chaos.{path.stem}")


def server(named: str | None) -> str:
    """The server binary as the tests choose it."""
    if named:
        return find_binary(named).path
    found = [*redis_servers.of_wheel(), *redis_servers.on_path()]
    return (found[0] if found else find_binary()).path


def main(arguments: Sequence[str]) -> int:
    """Run the cases that were asked for. Returns the exit code."""
    import_cases()
    options = parse(arguments)
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    scale = Scale(options.full, seed, server(options.redis_server))
    verdicts = [_run(name, scale, options.json) for name in options.cases]
    return 0 if all(verdict.passed or verdict.not_run for verdict in verdicts) else 1


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Names of cases, and options."""
    listed = "\n".join(f"  {name:16} {entry.promise}" for name, entry in CASES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Fault tests: processes, connections and servers are broken, and an oracle counts.",
        epilog=f"cases:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help="names of cases, or all; default: all")
    parser.add_argument("--full", action="store_true", help="the figures of the bars; minutes each")
    parser.add_argument("--seed", type=int, help="repeats a run; default: a new one")
    parser.add_argument("--redis-server", metavar="PATH", help="default: the wheel's, else one on PATH")
    parser.add_argument("--json", metavar="FILE", type=Path, help="append one JSON line per case")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.cases if name not in {*CASES, "all"}]:
        parser.error(f"expected names of cases (see --help), found {', '.join(unknown)}")
    if not options.cases or "all" in options.cases:
        options.cases = list(CASES)
    return options


def _run(name: str, scale: Scale, file: Path | None) -> Verdict:
    try:
        verdict = run_case(name, scale)
    except Exception as error:
        traceback.print_exc()
        verdict = Verdict([f"{type(error).__name__}: {error}"])
    print(line(name, verdict, scale.seed), flush=True)
    if file is not None:
        with file.open("a") as out:
            out.write(json_line(name, verdict, scale) + "\n")
    return verdict


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
