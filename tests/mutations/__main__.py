"""`python -m tests.mutations`: does a test notice when a mechanism of delivery is missing?

    python -m tests.mutations [--quick] [--list] [--jobs COUNT] [--redis-server PATH] [WORD ...]

For each mutation of tests/mutations/catalogue.py: the named test runs against a copy of the checkout without the
mechanism and must fail; without the mutation it must pass. WORDs choose the mutations in whose name one of them stands.
Exit code: 0 every mutation was noticed, 1 one survived or a test does not pass without it, 2 nothing was judged
because the catalogue is out of date or there is no checkout.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutations.catalogue import MUTATIONS, Mutation
from tests.mutations.running import Bench, OutOfDateError, Ran, changed
from tests.wheel.building import NO_CHECKOUT, ROOT, is_checkout


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for. Returns the exit code."""
    options = parse(arguments)
    if not is_checkout():
        print(f"tests.mutations: {NO_CHECKOUT}", file=sys.stderr)
        return 2
    chosen = choose(options.words, options.quick)
    if options.list or not chosen:
        print("\n".join(f"{mutation.name}: {mutation.test}" for mutation in chosen) or "no mutation is called that")
        return 0 if chosen else 2
    try:
        check_texts(chosen)
    except OutOfDateError as error:
        print(f"tests.mutations: {error}", file=sys.stderr)
        return 2
    server = ["--redis-server", options.redis_server] if options.redis_server else []
    with tempfile.TemporaryDirectory(prefix="asyncq-mutations-") as folder:
        benches = [Bench(Path(folder) / f"copy{number}", server) for number in range(max(options.jobs, 1))]
        if not all_pass(chosen, benches[0]):
            return 1
        return 1 if survivors(chosen, benches) else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Our options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutations", description="Which test notices what is missing?"
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="only those with one of these words in their name")
    parser.add_argument("--quick", action="store_true", help="only those whose test fails within three seconds")
    parser.add_argument("--list", action="store_true", help="name them and their tests, run nothing")
    parser.add_argument("--jobs", type=int, default=2, metavar="COUNT", help="run so many side by side; default 2")
    parser.add_argument("--redis-server", metavar="PATH", help="run against this server binary")
    return parser.parse_args(arguments)


def choose(words: Sequence[str], quick: bool) -> list[Mutation]:
    """Those in whose name one of the words stands; all if there are no words."""
    return [
        mutation
        for mutation in MUTATIONS
        if (mutation.quick or not quick) and (not words or any(word in mutation.name for word in words))
    ]


def check_texts(mutations: Sequence[Mutation], root: Path = ROOT) -> None:
    """Before anything runs: every text is there.

    Raises:
        OutOfDateError: one is not.
    """
    for mutation in mutations:
        for change in mutation.changes:
            changed((root / change.path).read_text(encoding="utf-8"), change)


def all_pass(mutations: Sequence[Mutation], bench: Bench) -> bool:
    """Whether all named tests pass while nothing is missing."""
    whole = bench.run(sorted({mutation.test for mutation in mutations}))
    print(line("nothing is missing", "", whole, expected="passed"), flush=True)
    if whole.failed or whole.trouble:
        print(whole.said, file=sys.stderr)
    return not whole.failed and not whole.trouble


def survivors(mutations: Sequence[Mutation], benches: Sequence[Bench]) -> list[Mutation]:
    """Those that their test does not notice. Each bench runs one mutation after the other."""
    left, survived = deque(mutations), []

    def work(bench: Bench) -> None:
        while left:
            mutation = left.popleft()
            with bench.mutated(mutation):
                ran = bench.run([mutation.test])
            print(line(mutation.name, mutation.test, ran, expected="failed"), flush=True)
            if not ran.failed:
                survived.append(mutation)
                print(ran.said, file=sys.stderr)

    with ThreadPoolExecutor(len(benches)) as pool:
        for done in [pool.submit(work, bench) for bench in benches]:
            done.result()
    print(f"{len(mutations) - len(survived)} of {len(mutations)} mutations were noticed", flush=True)
    return survived


def line(name: str, test: str, ran: Ran, *, expected: str) -> str:
    """One line of the report."""
    said = ran.trouble or ("failed" if ran.failed else "passed")
    verdict = "ok  " if said == expected else "BAD "
    without = "" if not test else "without: "
    return f"{verdict} {without}{name} | {test or 'every named test'} | {said} | {ran.seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
