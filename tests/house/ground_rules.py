"""Rules about what lies around the code: README's tree, the links at the root, pyproject's dependencies.

Run by test_house.py over the real house and over the planted ones of ground_cases.py.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.house.import_rules import imports
from tests.house.plan import BROUGHT, IMPORT_NAMES, LINKS, OPTIONAL
from tests.house.source import House

_ENTRY = re.compile(r"(?P<indent> *)(?P<name>\S+?)/?(?: -> (?P<link>\S+))?(?:\s{2,}(?P<said>\S.*))?")
_OURS = {"asyncq", "tests", "examples", "benchmarks", *LINKS}
_FENCE = "```"
# Which extras each folder may use; "*" means all of them: they run where tests do.
_EXTRAS = {"examples": ("examples", "embedded"), "benchmarks": ("*",), "tests": ("*",)}


@dataclass(frozen=True)
class Entry:
    """One line of README's tree.

    Attributes:
        line: Of README.md.
        name: Without the slash.
        link: Where it leads, if it is a link.
        said: What the line says of it.
        inside: Whether it stands below asyncq/.
    """

    line: int
    name: str
    link: str
    said: str
    inside: bool


def readme_tree(text: str) -> list[Entry]:
    """The fenced tree of the section "Layout"."""
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if line == "## Layout"), len(lines))
    fences = [number for number in range(start, len(lines)) if lines[number].startswith(_FENCE)][:2]
    found: list[Entry] = []
    for number in range(fences[0] + 1, fences[1]) if len(fences) == 2 else ():
        match = _ENTRY.fullmatch(lines[number].rstrip())
        if match:
            inside = bool(match["indent"])
            found.append(Entry(number + 1, match["name"], match["link"] or "", match["said"] or "", inside))
    return found


def readme_tree_is_the_tree(house: House) -> list[str]:
    """What lies at the top and in asyncq is named there, with a sentence, and what is named there exists."""
    tree = readme_tree(house.files.get("README.md", ""))
    if not tree:
        return ["README.md:1: has no tree of the house in its section Layout"]
    found = [f"README.md:{entry.line}: {entry.name} stands there without a sentence" for entry in tree
             if not (entry.said or entry.link)]  # fmt: skip
    for inside, real, place in ((False, set(house.top), ""), (True, _inside(house), "asyncq/")):
        named = {entry.name: entry for entry in tree if entry.inside == inside}
        found += [
            f"README.md:{tree[0].line}: the tree does not name {place}{name}" for name in sorted(real - set(named))
        ]
        for name in sorted(set(named) - real):
            if house.kind != "sdist" or inside:  # what is built from a checkout may leave things out
                found.append(f"README.md:{named[name].line}: there is no {place}{name}")
    return found


def _inside(house: House) -> set[str]:
    """The rooms of asyncq and the modules beside them."""
    below = [source.where.split("/")[1:] for source in house.below("asyncq")]
    return {parts[0] for parts in below}


def root_links_lead_to_the_rooms(house: House) -> list[str]:
    """Relative, so that they hold wherever the checkout lies. An archive without links is whole, too."""
    found = []
    for name in LINKS:
        target = house.links.get(name)
        if target is None and house.kind == "checkout":
            found.append(f"{name}:1: expected a link to asyncq/{name}")
        elif target not in (None, f"asyncq/{name}"):
            found.append(f"{name}:1: expected a link to asyncq/{name}, found one to {target}")
    strangers = [name for name in house.links if name not in LINKS]
    return found + [f"{name}:1: no link is expected here" for name in strangers]


def dependencies_are_what_is_imported(house: House) -> list[str]:
    """What asyncq imports stands in pyproject's dependencies (or in the extra of OPTIONAL), and nothing else does."""
    declared = _declared(house)
    used = dict(_third_parties(house, "asyncq"))
    found = []
    for name, where in used.items():
        place = OPTIONAL.get(name, "")
        if name not in declared[place]:
            found.append(f"{where} {name} is not in pyproject's {place or 'dependencies'}")
    spoken_for = set(used) | _brought_by_extras(house)
    return found + [
        f"pyproject.toml:1: asyncq does not import {name} of the dependencies"
        for name in sorted(declared[""] - spoken_for)
    ]


def extras_cover_the_other_folders(house: House) -> list[str]:
    """Examples, benchmarks and tests import what the dependencies and their extras bring."""
    declared = _declared(house)
    found = []
    for folder, extras in _EXTRAS.items():
        chosen = set(declared) if extras == ("*",) else {"", *extras}
        known = set().union(*(declared.get(extra, set()) for extra in chosen))
        found += [
            f"{where} {name} is in no extra that {folder}/ may use"
            for name, where in _third_parties(house, folder)
            if BROUGHT.get(name, name) not in known
        ]
    return found


def _third_parties(house: House, folder: str) -> Iterator[tuple[str, str]]:
    """Import names of strangers, and `file:line:`, the first of each file."""
    for source in house.below(folder):
        seen = set()
        for imported, node in imports(house, source):
            name = imported.partition(".")[0]
            if name not in _OURS and name not in sys.stdlib_module_names and name not in seen:
                seen.add(name)
                yield name, source.at(node, "").rstrip()


def _project(house: House) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(house.files.get("pyproject.toml", "")).get("project", {})
    return project


def _declared(house: House) -> dict[str, set[str]]:
    """Import names by extra; "" are the dependencies."""
    project = _project(house)
    groups = {"": project.get("dependencies", []), **project.get("optional-dependencies", {})}
    return {extra: {name for line in lines for name in _names(line)} for extra, lines in groups.items()}


def _names(requirement: str) -> list[str]:
    """What can be imported after `redis[hiredis]>=5`: redis, and hiredis, which its extra brings."""
    name, _, more = re.split(r"[<>=!~;\s]", requirement, maxsplit=1)[0].partition("[")
    names = [name.lower(), *more.rstrip("]").lower().split(",")]
    return [IMPORT_NAMES.get(each, each.replace("-", "_")) for each in names if each]


def _brought_by_extras(house: House) -> set[str]:
    return {name for line in _project(house).get("dependencies", []) for name in _names(line)[1:]}
