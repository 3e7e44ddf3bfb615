"""Planted violations and good cases for size_rules.py: (rule, house, what must be found).

SHAPES are functions with their complexity; test_sizes.py asks ruff whether it counts alike.
"""

from __future__ import annotations

from tests.house import size_rules as rules
from tests.house.source import House, mini

A, TEST = "asyncq/core/a.py", "tests/unit/test_a.py"


def _code(text: str, where: str = A) -> House:
    return mini({where: text})


def _function(lines: int, head: str = "def f():") -> str:
    return "\n".join([head, *["    pass"] * (lines - 1)])


def _branches(count: int, head: str = "def f(a):") -> str:
    return "\n".join([head, *["    if a: pass"] * count])


# Body of `def f(a):` -> its complexity.
SHAPES = {
    "pass": 1,
    "if a: pass": 2,
    "if a: pass\n    else: pass": 2,
    "if a: pass\n    elif b: pass\n    else: pass": 3,
    "for x in a: pass": 2,
    "for x in a: pass\n    else: pass": 2,
    "async for x in a: pass": 2,
    "while a:\n        if a: break": 3,
    "try: pass\n    except A: pass\n    except B: pass": 3,
    "try: pass\n    except A: pass\n    else: pass": 3,
    "try: pass\n    finally:\n        if a: pass": 2,
    "try: pass\n    except* A: pass": 2,
    "match a:\n        case 1: pass\n        case 2: pass": 3,
    "match a:\n        case 1: pass\n        case _: pass": 2,
    "match a:\n        case 1: pass\n        case _ if b: pass": 3,
    "with a:\n        if a: pass": 2,
    "def g():\n        if a: pass": 3,
    "class B:\n        def g(self):\n            if a: pass": 3,
    "return [x for x in a if x and b or c] if a else lambda: b if a else c": 1,
}

PLANTED = [
    (rules.files_stay_small, _code("\n" * 401), f"{A}:401: 401 lines; at most 400"),
    (rules.files_stay_small, _code("\n" * 501, TEST), f"{TEST}:501: 501 lines; at most 500"),
    (rules.files_stay_small, _code("\n" * 401, "examples/a.py"), "examples/a.py:401: 401 lines; at most 400"),
    (rules.functions_stay_short, _code(_function(51)), f"{A}:1: f has 51 lines; at most 50"),
    (rules.functions_stay_short, _code(_function(51, "async def f():"), TEST), f"{TEST}:1: f has 51 lines; at most 50"),
    (
        rules.functions_stay_short,
        _code("class A:\n def f(self):" + "\n  pass" * 50),
        f"{A}:2: f has 51 lines; at most 50",
    ),
    (rules.functions_stay_simple, _code(_branches(10)), f"{A}:1: f has complexity 11; at most 10"),
    (
        rules.functions_stay_simple,
        _code(_branches(10, "async def f(a):  # noqa: C901")),
        f"{A}:1: f has complexity 11; at most 10",
    ),
    *(
        (
            rules.functions_stay_simple,
            _code(_branches(11 - paths) + f"\n    {body}"),
            f"{A}:1: f has complexity 11; at most 10",
        )
        for body, paths in SHAPES.items()
        if "async for" not in body
    ),
]

GOOD = [
    (rules.files_stay_small, _code("\n" * 400)),
    (rules.files_stay_small, _code("\n" * 500, TEST)),
    (rules.functions_stay_short, _code(_function(50))),
    (rules.functions_stay_short, _code("class A:\n    x = 1" + "\n    x = 1" * 60)),
    (rules.functions_stay_simple, _code(_branches(9))),
    (rules.functions_stay_simple, _code("\n".join(["if a: pass"] * 20))),
]
