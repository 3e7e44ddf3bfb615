"""The short form of each case of a module, under pytest: the same function, figures and seed printed."""

import random
from collections.abc import Callable
from types import ModuleType

import pytest

from tests.chaos.verdict import CASES, Scale, line, run_case


def short_forms(module: ModuleType, *, without: tuple[str, ...] = ()) -> Callable[..., None]:
    """A test function with one run per case of the module; `without` those whose short form takes too long."""
    names = [name for name, entry in CASES.items() if entry.module == module.__name__ and name not in without]

    @pytest.mark.parametrize("name", names)
    def test(name: str, redis_server: str) -> None:
        scale = Scale(full=False, seed=random.getrandbits(32), redis_server=redis_server)
        print(f"{name}: {CASES[name].promise}; seed {scale.seed}")
        verdict = run_case(name, scale)
        print(line(name, verdict, scale.seed))
        if verdict.not_run:
            pytest.skip(verdict.not_run)
        assert [] == verdict.problems

    return test
