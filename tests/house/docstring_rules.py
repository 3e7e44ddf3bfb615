"""Rules about docstrings: every module says what it is, everything public says what it does.

Run by test_house.py over the real house and over the planted ones of docstring_cases.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.house.import_rules import ours
from tests.house.plan import LEAST_MODULE_DOCSTRING, MAX_FRONT_DOOR_NAMES
from tests.house.source import House, Source

_DOORS = "core.doors"
_SENTENCE_END = re.compile(r"[.?!:]")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def modules_say_what_they_are(house: House) -> list[str]:
    """A sentence, in asyncq at least 40 characters of it."""
    found = []
    for source in house.below("asyncq", "examples", "benchmarks", "tests", "deploy"):
        said = ast.get_docstring(source.tree) or ""
        least = LEAST_MODULE_DOCSTRING if source.module is not None else 1
        if not said:
            found.append(source.at(1, "the module has no docstring; say what it does"))
        elif len(said) < least or not _SENTENCE_END.search(said.splitlines()[0] + said[-1]):
            found.append(source.at(1, f"the module's docstring is no sentence that says what it does: {said!r}"))
    return found


@dataclass(frozen=True)
class Public:
    """A definition that users reach.

    Attributes:
        source: Where it stands.
        node: What it is.
        name: As users call it.
    """

    source: Source
    node: Definition
    name: str


def what_is_public_is_documented(house: House) -> list[str]:
    """What users reach from the front door, `asyncq.simple` and the doors has a docstring, with all public methods."""
    found = [missing for module in ("", "simple") for missing in _unresolved(house, module)]
    for public in _reached(house).values():
        for name, node in (("", public.node), *_methods(public.node)):
            if not ast.get_docstring(node):
                found.append(public.source.at(node, f"{f'{public.name}.{name}'.rstrip('.')} has no docstring"))
    return found


def front_door_stays_narrow(house: House) -> list[str]:
    """At most 30 names."""
    source = house.modules.get("")
    names = _exported(source) if source else []
    if source and len(names) > MAX_FRONT_DOOR_NAMES:
        return [source.at(1, f"the front door has {len(names)} names; at most {MAX_FRONT_DOOR_NAMES}")]
    return []


def _methods(node: Definition) -> Iterator[tuple[str, Definition]]:
    if not isinstance(node, ast.ClassDef):
        return
    for child in node.body:
        if isinstance(child, Definition) and not child.name.startswith("_") and not _second_half(child):
            yield child.name, child


def _second_half(node: Definition) -> bool:
    """A setter, or one of the signatures of an overload: the documentation stands elsewhere."""
    return any(
        ast.unparse(mark).rpartition(".")[2] in ("overload", "setter", "deleter") for mark in node.decorator_list
    )


def _exported(source: Source) -> list[str]:
    """What stands in `__all__`."""
    for node in source.tree.body:
        match node:
            case ast.Assign([ast.Name("__all__")], value) | ast.AnnAssign(ast.Name("__all__"), _, value) if value:
                return [str(item.value) for item in ast.walk(value) if isinstance(item, ast.Constant)]
    return []


def _unresolved(house: House, module: str) -> Iterator[str]:
    source = house.modules.get(module)
    for name in _exported(source) if source else ():
        if source and _find(house, module, name) is None:
            yield source.at(1, f"{name} stands in __all__, but no definition of it was found")


def _reached(house: House) -> dict[tuple[str, str], Public]:
    """Exported definitions, what they are instances of, their bases, and ours that their signatures name."""
    waiting = [(module, name) for module in ("", "simple") for name in _exported_of(house, module)]
    if _DOORS in house.modules:
        body = house.modules[_DOORS].tree.body
        waiting += [(_DOORS, node.name) for node in body if isinstance(node, Definition) and node.name[0] != "_"]
    found: dict[tuple[str, str], Public] = {}
    while waiting:
        public = _find(house, *waiting.pop())
        if public is not None and (public.source.where, public.name) not in found:
            found[public.source.where, public.name] = public
            module = public.source.module or ""
            waiting += [(module, name) for name in _named_by(public.node) if not name.startswith("_")]
    return found


def _exported_of(house: House, module: str) -> list[str]:
    return _exported(house.modules[module]) if module in house.modules else []


def _named_by(node: Definition) -> Iterator[str]:
    """Names in the bases of a class and in the annotations of a function or of public methods and fields."""
    hints: list[ast.expr | None] = []
    if isinstance(node, ast.ClassDef):
        hints += node.bases
        hints += [child.annotation for child in node.body if isinstance(child, ast.AnnAssign) and _is_public(child)]
        for _, method in _methods(node):
            yield from _named_by(method)
    else:
        arguments = node.args
        hints += [argument.annotation for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        hints.append(node.returns)
    yield from (part.id for hint in hints if hint for part in ast.walk(hint) if isinstance(part, ast.Name))


def _is_public(field: ast.AnnAssign) -> bool:
    return isinstance(field.target, ast.Name) and not field.target.id.startswith("_")


def _find(house: House, module: str, name: str, depth: int = 0) -> Public | None:
    """The definition that a name stands for, through imports and `name = other` and `name = Class()`."""
    source = house.modules.get(module)
    if source is None or depth > 9:
        return None
    for node in source.nodes:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.name == name:
                if node in source.tree.body:
                    return Public(source, node, name)
            case ast.Assign([ast.Name(target)], value) | ast.AnnAssign(ast.Name(target), _, value) if target == name:
                value = value.func if isinstance(value, ast.Call) else value
                if isinstance(value, ast.Name | ast.Attribute):
                    return _follow(house, module, source.dotted(value), depth)
    imported = source.aliases.get(name, "")
    return _follow(house, module, imported, depth) if imported.startswith("asyncq.") else None


def _follow(house: House, module: str, dotted: str, depth: int) -> Public | None:
    target = ours(house, dotted)
    if target is None:  # a name, or Class.method, of the same module
        return _find(house, module, dotted.partition(".")[0], depth + 1)
    rest = dotted.removeprefix(f"asyncq.{target}".rstrip(".")).strip(".")
    return _find(house, target, rest.partition(".")[0], depth + 1) if rest else None
