"""`python -m tests.chaos.table FILE`: results of `python -m tests.chaos --full --json FILE` as the table of the docs.

The last line of each case counts. Prints Markdown for docs/explanation/delivery-tests.md; changes nothing.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

# Fault tests of the plan that are no case here, and why.
ELSEWHERE: Final = {
    "T11": "not run: power loss needs a file system that forgets what was not synced",
    "T13": "`tests/integration/test_sentinel.py`: fail-overs, asked for and by kill -9, under a real worker",
    "T14": "not run: enqueueing with `WAIT` is not offered",
    "T15": "not run: two halves of a network with a producer on each side",
    "T16": "`tests/integration/test_cluster.py`: a slot moves, nodes die, under a real worker",
    "T25": "not run: needs processes with a clock of their own; no clock of a worker is ever compared with Redis'",
    "T26": "not run: needs a Redis with a clock of its own",
    "T33": "not run: there are no results yet",
    "T39": "not run: there is no rolling reload yet",
    "T40": "`tests/integration/test_promotion.py` with 10,000 messages and three promoters; not with a million",
    "T41": "not run: there are no periodic tasks yet",
    "T42": "not run: there are no unique tasks and limits yet",
    "T43": "not run: 500 processes are too many for the machine at hand",
    "T44": "not run: there is no pause and no replay of dead letters yet",
    "T48": "not run: six hours",
}

# Shown also when they are 0, as most are.
ALWAYS: Final = ("duplicates", "lost")


def rows(lines: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(case, promise, what became of it), by number, the bars first."""
    last = {fact["case"]: fact for fact in lines}
    found = [(name, fact["promise"], _result(fact)) for name, fact in last.items()]
    found += [(name, "", why) for name, why in ELSEWHERE.items()]
    return sorted(found, key=lambda row: _order(row[0]))


def _order(name: str) -> tuple[int, int, str]:
    number = re.match(r"T(\d+)", name)
    if name.startswith("bar-"):
        return (0, 0, name)
    return (1, int(number[1]), name) if number else (2, 0, name)


def _result(fact: dict[str, Any]) -> str:
    if fact["not_run"]:
        return f"not run: {fact['not_run']}"
    state = "passed" if fact["passed"] else "**failed**: " + "; ".join(fact["problems"])
    state += "" if fact["scale"] == "full" else ", short form"
    said = {key: value for key, value in fact["figures"].items() if value or key in ALWAYS}
    figures = ", ".join(f"{key} {_shown(value)}" for key, value in said.items())
    return f"{state}: {figures}; seed {fact['seed']}"


def _shown(value: object) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def page(lines: list[dict[str, Any]]) -> str:
    """The table."""
    servers = sorted({fact["server"] for fact in lines})
    said = [subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout for path in servers]
    head = f"At full scale unless a row says so. Server: {'; '.join(' '.join(text.split()[:3]) for text in said)}.\n\n"
    body = "".join(f"| {name} | {promise} | {result} |\n" for name, promise, result in rows(lines))
    return head + "| case | promise | result |\n|---|---|---|\n" + body


if __name__ == "__main__":
    print(page([json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]), end="")
