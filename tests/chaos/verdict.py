"""What a case is given and what it returns, and the list of all cases.

A case is a function `(Scale) -> Verdict`, entered with `@case`. `python -m tests.chaos` and the tests beside it run the
same functions, at full and at short scale.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


class NotRun(Exception):
    """The case cannot run here; the sentence says what it would need."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large, with what seed, and on which server.

    Attributes:
        full: The figures of the bar; else small ones that take seconds.
        seed: Everything random comes from it.
        redis_server: Path of the server binary.
    """

    full: bool
    seed: int
    redis_server: str

    def pick(self, short: T, full: T) -> T:
        return full if self.full else short

    def rng(self, name: str) -> Random:
        return Random(f"{self.seed}:{name}")


@dataclass(slots=True)
class Verdict:
    """How a case ended: passed when there is no problem. Figures are for people and for the file of results."""

    problems: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    not_run: str = ""

    @property
    def passed(self) -> bool:
        return not self.problems and not self.not_run

    def check(self, holds: object, sentence: str) -> None:
        """Note a problem unless `holds`."""
        if not holds:
            self.problems.append(sentence)

    def add(self, other: "Verdict", prefix: str = "") -> None:
        """Take over problems and figures of a part."""
        self.problems += [f"{prefix}{problem}" for problem in other.problems]
        self.figures |= {f"{prefix}{key}": value for key, value in other.figures.items()}


@dataclass(frozen=True, slots=True)
class Case:
    """One fault test: its number in the table of bars, and in a sentence what must hold."""

    name: str
    promise: str
    run: Callable[[Scale], Verdict]
    module: str


CASES: dict[str, Case] = {}


def case(name: str, promise: str) -> Callable[[Callable[[Scale], Verdict]], Callable[[Scale], Verdict]]:
    """Enter a case under its name."""

    def enter(run: Callable[[Scale], Verdict]) -> Callable[[Scale], Verdict]:
        assert name not in CASES, name
        CASES[name] = Case(name, promise, run, run.__module__)
        return run

    return enter


def run_case(name: str, scale: Scale) -> Verdict:
    """Run it and measure how long it takes. What goes wrong in the rig itself is raised."""
    began = time.monotonic()
    try:
        verdict = CASES[name].run(scale)
    except NotRun as why:
        verdict = Verdict(not_run=str(why))
    verdict.figures["took_s"] = round(time.monotonic() - began, 1)
    return verdict


def line(name: str, verdict: Verdict, seed: int) -> str:
    """One line for people."""
    state = "not run" if verdict.not_run else "passed" if verdict.passed else "FAILED"
    said = "; ".join([verdict.not_run] if verdict.not_run else verdict.problems)
    figures = " ".join(f"{key}={_short(value)}" for key, value in verdict.figures.items())
    return f"{name:16} {state:8} seed={seed} {figures}" + (f"  {said}" if said else "")


def json_line(name: str, verdict: Verdict, scale: Scale) -> str:
    """One line for the file of results."""
    facts: dict[str, Any] = {
        "case": name,
        "promise": CASES[name].promise,
        "passed": None if verdict.not_run else verdict.passed,
        "scale": "full" if scale.full else "short",
        "seed": scale.seed,
        "server": scale.redis_server,
        "figures": verdict.figures,
        "problems": verdict.problems,
        "not_run": verdict.not_run,
        "at": round(time.time(), 3),
    }
    return json.dumps(facts, default=str)


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
