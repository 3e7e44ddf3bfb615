"""The short form of each case of a module, under pytest: the same function, figures and seed printed."""

import random
from collections.abc import Callable, Mapping
from types import ModuleType

import pytest

from tests.chaos.verdict import CASES, Scale, line, run_case


def short_forms(
    module: ModuleType, *, known: Mapping[str, str] | None = None, without: tuple[str, ...] = ()
) -> Callable[..., None]:
    """A test function with one run per case of the module.

    Args:
        module: Enters its cases when it is imported.
        known: Cases that fail, and why; one that passes is a failure then, so that the entry goes with the fault.
        without: Cases whose short form takes too long for every day.
    """
    names = [name for name, entry in CASES.items() if entry.module == module.__name__ and name not in without]
    marks = {name: pytest.mark.xfail(reason=why, strict=True) for name, why in (known or {}).items()}
    runs = [pytest.param(name, marks=marks.get(name, ()), id=name) for name in names]

    @pytest.mark.parametrize("name", runs)
    def test(name: str, redis_server: str) -> None:
        scale = Scale(full=False, seed=random.getrandbits(32), redis_server=redis_server)
        print(f"{name}: {CASES[name].promise}; seed {scale.seed}")
        verdict = run_case(name, scale)
        print(line(name, verdict, scale.seed))
        if verdict.not_run:
            pytest.skip(verdict.not_run)
        assert [] == verdict.problems

    return test
