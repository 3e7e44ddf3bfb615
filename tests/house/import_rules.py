"""Rules about imports: directions, third parties, cycles, dead modules.

Type-only and lazy imports count, and so do modules that a literal string names.
Run by test_house.py over the real house and over the planted ones of import_cases.py.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache

from tests.house.plan import (
    DYNAMIC,
    ENTRIES,
    LINKS,
    NOT_IN_SUPERVISOR,
    ROOMS,
    THIRD_PARTIES,
)
from tests.house.source import House, Source

_IMPORTERS = {"import_module", "__import__", "find_spec", "run_module", "resolve_name", "reload"}
_OUR_NAME = re.compile(r"(asyncq(?:\.\w+)+)(?::\w*)?")
_NO_TESTS = ("asyncq", "examples", "benchmarks", "deploy")


@cache
def _statements(source: Source) -> tuple[tuple[str, ast.AST], ...]:
    """What import statements and calls such as `import_module("asyncq.core.codec")` name."""
    found: list[tuple[str, ast.AST]] = []
    for node in source.nodes:
        if isinstance(node, ast.Import):
            found += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found += [(f"{node.module}.{alias.name}", node) for alias in node.names]
    for call, _, target in _importer_calls(source):
        if isinstance(target, ast.Constant):
            found.append((str(target.value).replace(":", "."), call))
    return tuple(found)


@cache
def _texts(source: Source) -> tuple[tuple[str, ast.AST], ...]:
    """Strings that look like "asyncq.cli.child_redis:run_redis" or "asyncq.cli.child_redis"; names of loggers do."""
    elsewhere = {id(target) for _, _, target in _importer_calls(source)}
    elsewhere |= {id(call.args[0]) for call, name in source.calls() if name.endswith("getLogger") and call.args}
    return tuple(
        (found[1], node)
        for node in source.nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in elsewhere
        if (found := _OUR_NAME.fullmatch(node.value))
    )


def imports(house: House, source: Source) -> list[tuple[str, ast.AST]]:
    """Everything a file imports, or names so that somebody else imports it: dotted names, and where that stands."""
    named = [(name, node) for name, node in _texts(source) if name.removeprefix("asyncq.") in house.modules]
    return [*_statements(source), *named]


def _importer_calls(source: Source) -> Iterator[tuple[ast.Call, str, ast.expr]]:
    """Calls that import: the call, its name, and what says which module."""
    for call, name in source.calls():
        if name.rpartition(".")[2] in _IMPORTERS:
            given = [*call.args, *(word.value for word in call.keywords if word.arg in ("name", "mod_name"))]
            yield from ((call, name, target) for target in given[:1])


def ours(house: House, imported: str) -> str | None:
    """The module of ours that is meant, without the name taken from it; None for a stranger."""
    if imported.partition(".")[0] != "asyncq":
        return None
    inner = imported.removeprefix("asyncq").lstrip(".")
    while inner and inner not in house.modules:
        inner = inner.rpartition(".")[0]
    return inner


def imports_go_down(house: House) -> list[str]:
    """The directions of ROOMS."""
    found = []
    for module, source in house.modules.items():
        room = module.partition(".")[0]
        for imported, node in imports(house, source):
            target = ours(house, imported)
            if target is None or target.partition(".")[0] == room:
                continue
            if not {target, target.partition(".")[0]} & ROOMS.get(room, frozenset()):
                found.append(source.at(node, f"{module or 'asyncq'} may not import asyncq.{target}".rstrip(".")))
    return found


def third_parties_keep_to_their_place(house: House) -> list[str]:
    """The table THIRD_PARTIES, and the parts of the standard library that the supervisor does without."""
    found = []
    for module, source in house.modules.items():
        room, _, inside = module.partition(".")
        for imported, node in imports(house, source):
            third = imported.partition(".")[0]
            if room == "supervisor" and third in NOT_IN_SUPERVISOR:
                found.append(source.at(node, f"the supervisor does without {third}"))
            elif third != "asyncq" and third not in sys.stdlib_module_names:
                where = THIRD_PARTIES.get(room, {}).get(third)
                if where is None or (where and inside not in where):
                    found.append(source.at(node, f"{module or 'asyncq'} may not import {third}"))
    return found


def tables_are_true(house: House) -> list[str]:
    """Every room has a row and is no empty room; every row, and every module that a row names, is there."""
    top = {module.partition(".")[0] for module in house.modules}
    found = [f"asyncq/{room}:1: has no row in ROOMS of tests/house/plan.py" for room in sorted(top - set(ROOMS))]
    found += [f"asyncq/{room}:1: has a row in ROOMS but is not there" for room in sorted(set(ROOMS) - top)]
    for room in sorted(top - {""}):
        if house.is_package(room) and not any(module.startswith(f"{room}.") for module in house.modules):
            found.append(f"asyncq/{room}:1: is an empty room")
    named = {target for targets in ROOMS.values() for target in targets} | set(ENTRIES) | set(DYNAMIC)
    named |= {f"{room}.{module}" for room, row in THIRD_PARTIES.items() for where in row.values() for module in where}
    missing = named - set(house.modules) - set(ROOMS)
    return found + [f"asyncq/{name}:1: is named in tests/house/plan.py but is not there" for name in sorted(missing)]


def imports_are_absolute(house: House) -> list[str]:
    """No relative import."""
    return [
        source.at(node, f"relative import of {'.' * node.level}{node.module or ''}")
        for source in house.sources
        for node in source.nodes
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def nobody_imports_through_the_links(house: House) -> list[str]:
    """`import worker` would work in a checkout and nowhere else."""
    return [
        source.at(node, f"{imported.partition('.')[0]} is a signpost; import asyncq.{imported.partition('.')[0]}")
        for source in house.sources
        for imported, node in imports(house, source)
        if imported.partition(".")[0] in LINKS
    ]


def dynamic_imports_are_known(house: House) -> list[str]:
    """What only a value names cannot be checked: DYNAMIC lists who may do that."""
    return [
        source.at(call, f"{name} of what is no literal; give the name, or a reason in DYNAMIC of tests/house/plan.py")
        for source in house.below(*_NO_TESTS)
        for call, name, target in _importer_calls(source)
        if not isinstance(target, ast.Constant) and source.module not in DYNAMIC
    ]


def _edges(house: House, module: str, *, named: bool) -> dict[str, ast.AST]:
    source = house.modules[module]
    found: dict[str, ast.AST] = {}
    for imported, node in imports(house, source) if named else _statements(source):
        target = ours(house, imported)
        if target is not None and target != module:
            found.setdefault(target, node)
    return found


def there_is_no_cycle(house: House) -> list[str]:
    """Lazy and type-only imports close a circle, too; a "module:function" that others import later does not.

    The front door is left out: it loads its names on first use and is imported for its version only.
    """
    edges = {module: _edges(house, module, named=False) for module in house.modules}
    found: list[str] = []
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            circle = (*path[path.index(module) :], module)
            found.append(house.modules[circle[0]].at(edges[circle[0]][circle[1]], "cycle " + " -> ".join(circle)))
        elif module not in done:
            for target in sorted(set(edges[module]) - {""}):
                visit(target, (*path, module))
            done.add(module)

    for module in sorted(set(edges) - {""}):
        visit(module, ())
    return found


def no_module_is_dead(house: House) -> list[str]:
    """Every module is reached from an entry; a package counts as reached with any of its modules."""
    reached: set[str] = set()
    waiting = [module for module in ENTRIES if module in house.modules]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += _edges(house, module, named=True)
    return [
        source.at(1, "no entry reaches this module; use it, remove it, or name it in ENTRIES of tests/house/plan.py")
        for module, source in house.modules.items()
        if module not in reached and not house.is_package(module)
    ]
