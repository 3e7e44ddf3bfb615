"""Rules about sizes: lines of a file, lines and complexity of a function. No comment in the code can switch them off.

Run by test_house.py over the real house and over the planted ones of size_cases.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from tests.house.plan import MAX_COMPLEXITY, MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_TEST_FILE_LINES
from tests.house.source import House, Source

Function = ast.FunctionDef | ast.AsyncFunctionDef


def files_stay_small(house: House) -> list[str]:
    """400 lines, tests 500."""
    found = []
    for source in house.sources:
        limit = MAX_TEST_FILE_LINES if source.where.startswith("tests/") else MAX_FILE_LINES
        lines = len(source.text.splitlines())
        if lines > limit:
            found.append(source.at(limit + 1, f"{lines} lines; at most {limit}"))
    return found


def functions_stay_short(house: House) -> list[str]:
    """50 lines, docstring and all."""
    return [
        source.at(function, f"{function.name} has {lines} lines; at most {MAX_FUNCTION_LINES}")
        for source, function in _functions(house)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES
    ]


def functions_stay_simple(house: House) -> list[str]:
    """Complexity 10."""
    return [
        source.at(function, f"{function.name} has complexity {paths}; at most {MAX_COMPLEXITY}")
        for source, function in _functions(house)
        if (paths := complexity(function)) > MAX_COMPLEXITY
    ]


def _functions(house: House) -> Iterator[tuple[Source, Function]]:
    for source in house.sources:
        for node in source.nodes:
            if isinstance(node, Function):
                yield source, node


def complexity(function: Function) -> int:
    """McCabe's number as ruff's C901 counts it: 1, and 1 more for each branch, loop, handler and inner function."""
    return 1 + _branches(function.body)


def _branches(body: Sequence[ast.AST]) -> int:
    return sum(_own(node) + _branches(_inside(node)) for node in body)


def _inside(node: ast.AST) -> list[ast.AST]:
    """The statements, handlers and cases directly below; expressions do not count."""
    kinds = (ast.stmt, ast.ExceptHandler, ast.match_case)
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, kinds)]


def _own(node: ast.AST) -> int:
    match node:
        case ast.If() | ast.For() | ast.AsyncFor() | ast.While() | ast.ExceptHandler() | ast.match_case():
            return 1
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return 1
        case ast.Try(orelse=[_, *_]) | ast.TryStar(orelse=[_, *_]):
            return 1
        case ast.Match(cases=[*_, ast.match_case(pattern=ast.MatchAs(pattern=None), guard=None)]):
            return -1  # `case _` is what an `else` is
    return 0
