"""Planted violations and good cases for import_rules.py: (rule, files, what must be found)."""

from __future__ import annotations

from tests.house import import_rules as rules
from tests.house.plan import DYNAMIC, ENTRIES, ROOMS, THIRD_PARTIES
from tests.house.source import House, mini

_GO_DOWN, _THIRD = rules.imports_go_down, rules.third_parties_keep_to_their_place
CORE, CODEC = "asyncq/core/__init__.py", "asyncq/core/codec.py"
WORKER, MAIN, KEYS = "asyncq/worker/__init__.py", "asyncq/worker/main.py", "asyncq/broker/keys.py"
_ROOMS = {
    CORE: "",
    CODEC: "",
    "asyncq/core/errors.py": "",
    "asyncq/broker/__init__.py": "",
    KEYS: "",
    WORKER: "",
    MAIN: "",
}


def _with(**files: str) -> House:
    """Rooms with little in them, and a file with this text: `_with(worker__main="import x")`."""
    return mini(_ROOMS | {f"asyncq/{name.replace('__', '/')}.py": text for name, text in files.items()})


def _whole() -> dict[str, str]:
    """A house in which all that the tables name is there."""
    named = {target for targets in ROOMS.values() for target in targets} | set(ENTRIES) | set(DYNAMIC)
    named |= {f"{room}.{module}" for room, row in THIRD_PARTIES.items() for where in row.values() for module in where}
    named |= {f"{room}.x" for room in ROOMS if room not in ("", "simple", "__main__")}
    files = {
        f"asyncq/{name.replace('.', '/')}.py": "" for name in named if "." in name or name in ("simple", "__main__")
    }
    return files | {f"{where.rpartition('/')[0]}/__init__.py": "" for where in files} | {"asyncq/__init__.py": ""}


_UP = "asyncq/core/codec.py:{}: core.codec may not import asyncq.worker.main"
_NO_REDIS = "asyncq/worker/main.py:{}: worker.main may not import redis"

PLANTED = [
    (_GO_DOWN, _with(core__codec="from asyncq.worker.main import run"), _UP.format(1)),
    (_GO_DOWN, _with(core__codec="from asyncq.worker import main"), _UP.format(1)),
    (_GO_DOWN, _with(core__codec="import asyncq.worker.main as m"), _UP.format(1)),
    (_GO_DOWN, _with(core__codec="if TYPE_CHECKING:\n    from asyncq.worker.main import run"), _UP.format(2)),
    (_GO_DOWN, _with(core__codec="def lazy():\n    import asyncq.worker.main"), _UP.format(2)),
    (_GO_DOWN, _with(core__codec='import_module("asyncq.worker.main")'), _UP.format(1)),
    (_GO_DOWN, _with(core__codec='import importlib as i\ni.import_module("asyncq.worker.main")'), _UP.format(2)),
    (_GO_DOWN, _with(core__codec='import_module(name="asyncq.worker.main")'), _UP.format(1)),
    (_GO_DOWN, _with(core__codec='TARGET = "asyncq.worker.main:run"'), _UP.format(1)),
    (_GO_DOWN, _with(core__codec='TARGET = "asyncq.worker.main"'), _UP.format(1)),
    (_GO_DOWN, _with(core__codec='TARGET = f"asyncq.worker.main:{name}"'), _UP.format(1)),
    (_GO_DOWN, _with(core__codec='find_spec("asyncq.worker.main")'), _UP.format(1)),
    (_GO_DOWN, _with(worker__main="import asyncq"), "asyncq/worker/main.py:1: worker.main may not import asyncq"),
    (
        _GO_DOWN,
        _with(supervisor__spawn="from asyncq.core import codec"),
        "asyncq/supervisor/spawn.py:1: supervisor.spawn may not import asyncq.core.codec",
    ),
    (
        _GO_DOWN,
        _with(worker__main="from asyncq.broker.keys import ready"),
        "asyncq/worker/main.py:1: worker.main may not import asyncq.broker.keys",
    ),
    (_THIRD, _with(worker__main="import redis"), _NO_REDIS.format(1)),
    (_THIRD, _with(worker__main="def lazy():\n    from redis.asyncio import Redis"), _NO_REDIS.format(2)),
    (_THIRD, _with(worker__main='import_module("redis.asyncio")'), _NO_REDIS.format(1)),
    (_THIRD, _with(worker__main='resolve_name("redis:Redis")'), _NO_REDIS.format(1)),
    (_THIRD, _with(worker__lane="import uvloop"), "asyncq/worker/lane.py:1: worker.lane may not import uvloop"),
    (_THIRD, _with(core__codec="import hiredis"), "asyncq/core/codec.py:1: core.codec may not import hiredis"),
    (_THIRD, _with(core__codec="import msgspec"), "asyncq/core/codec.py:1: core.codec may not import msgspec"),
    (_THIRD, _with(broker__keys="import requests"), "asyncq/broker/keys.py:1: broker.keys may not import requests"),
    (_THIRD, mini({"asyncq/__init__.py": "import click"}), "asyncq/__init__.py:1: asyncq may not import click"),
    *(
        (
            _THIRD,
            _with(supervisor__spawn=f"import {name}"),
            f"asyncq/supervisor/spawn.py:1: the supervisor does without {top}",
        )
        for name, top in [("asyncio", "asyncio"), ("threading", "threading"), ("concurrent.futures", "concurrent")]
    ),
    (
        rules.tables_are_true,
        mini(_whole() | {"asyncq/attic/__init__.py": "", "asyncq/attic/box.py": ""}),
        "asyncq/attic:1: has no row in ROOMS of tests/house/plan.py",
    ),
    (
        rules.tables_are_true,
        mini({where: text for where, text in _whole().items() if "/client/" not in where}),
        "asyncq/client:1: has a row in ROOMS but is not there",
    ),
    (
        rules.tables_are_true,
        mini({where: text for where, text in _whole().items() if not where.endswith("/client/x.py")}),
        "asyncq/client:1: is an empty room",
    ),
    (
        rules.tables_are_true,
        mini({where: text for where, text in _whole().items() if where != CODEC}),
        "asyncq/core.codec:1: is named in tests/house/plan.py but is not there",
    ),
    (rules.imports_are_absolute, _with(core__codec="from . import errors"), f"{CODEC}:1: relative import of ."),
    (rules.imports_are_absolute, _with(core__codec="\nfrom ..a import b"), f"{CODEC}:2: relative import of ..a"),
    (
        rules.imports_are_absolute,
        mini({"tests/unit/test_a.py": "def test_a():\n    from .b import c"}),
        "tests/unit/test_a.py:2: relative import of .b",
    ),
    *(
        (
            rules.nobody_imports_through_the_links,
            mini({"tests/unit/test_a.py": text}),
            f"tests/unit/test_a.py:1: {room} is a signpost; import asyncq.{room}",
        )
        for text, room in [
            ("import worker", "worker"),
            ("import worker.main as w", "worker"),
            ("from supervisor import arbiter", "supervisor"),
            ("from metrics.catalogue import METRICS", "metrics"),
            ('import_module("worker.main")', "worker"),
        ]
    ),
    (
        rules.dynamic_imports_are_known,
        _with(core__codec="import_module(name)"),
        f"{CODEC}:1: import_module of what is no literal; give the name, or a reason in DYNAMIC of tests/house/plan.py",
    ),
    (
        rules.dynamic_imports_are_known,
        _with(core__codec="import pkgutil\npkgutil.resolve_name(f'asyncq.{room}')"),
        f"{CODEC}:2: pkgutil.resolve_name of what is no literal; "
        "give the name, or a reason in DYNAMIC of tests/house/plan.py",
    ),
    (
        rules.there_is_no_cycle,
        _with(core__a="from asyncq.core import b", core__b="def lazy():\n    from asyncq.core.a import x"),
        "asyncq/core/a.py:1: cycle core.a -> core.b -> core.a",
    ),
    (
        rules.there_is_no_cycle,
        _with(
            core__a="from asyncq.core import b",
            core__b="if TYPE_CHECKING:\n    from asyncq.core.c import x",
            core__c="import_module('asyncq.core.a')",
        ),
        "asyncq/core/a.py:1: cycle core.a -> core.b -> core.c -> core.a",
    ),
    (
        rules.no_module_is_dead,
        mini({"asyncq/__init__.py": "", "asyncq/core/__init__.py": "", "asyncq/core/a.py": ""}),
        "asyncq/core/a.py:1: no entry reaches this module; "
        "use it, remove it, or name it in ENTRIES of tests/house/plan.py",
    ),
    (
        rules.no_module_is_dead,  # imported, but only by a test and by its own package
        mini(
            {
                "asyncq/__init__.py": "",
                CORE: "import asyncq.core.codec",
                CODEC: "",
                "tests/a.py": "import asyncq.core.codec",
            }
        ),
        "asyncq/core/codec.py:1: no entry reaches this module; "
        "use it, remove it, or name it in ENTRIES of tests/house/plan.py",
    ),
]

GOOD = [
    (_GO_DOWN, _with(worker__main="from asyncq.core.codec import encode\nfrom asyncq.core import errors")),
    (_GO_DOWN, _with(supervisor__spawn="from asyncq.core.errors import EXIT_OK")),
    (_GO_DOWN, _with(core__codec='log = logging.getLogger("asyncq.worker")')),
    (_GO_DOWN, _with(core__codec='NAME = "asyncq.toml"\nPROGRAM = "asyncq"')),
    (_GO_DOWN, _with(cli__app='import asyncq\nTARGET = "asyncq.worker.main:run"')),
    (
        _THIRD,
        _with(core__codec="import json, orjson", core__payload="import msgspec", broker__keys="import redis, hiredis"),
    ),
    (_THIRD, _with(supervisor__spawn="import os, signal, pkgutil", worker__main="import asyncio, uvloop")),
    (rules.tables_are_true, mini(_whole())),
    (rules.imports_are_absolute, _with(core__codec="from asyncq.core import errors\nimport asyncq.core.errors")),
    (
        rules.nobody_imports_through_the_links,
        mini({"tests/a.py": "from asyncq.worker import main\nimport tests.worker"}),
    ),
    (rules.dynamic_imports_are_known, _with(core__codec="import_module('json')", cli__app="import_module(name)")),
    (
        rules.there_is_no_cycle,
        _with(core__a="from asyncq.core import b, c", core__b="import asyncq.core.c", core__c=""),
    ),
    (
        rules.there_is_no_cycle,
        _with(core__a='TARGET = "asyncq.core.b:run"', core__b="from asyncq.core.a import Arguments"),
    ),
    (
        rules.no_module_is_dead,
        mini(
            {
                "asyncq/__init__.py": "if TYPE_CHECKING:\n    from asyncq.core.codec import encode",
                CORE: "",
                CODEC: "def lazy():\n    import asyncq.core.errors",
                "asyncq/core/errors.py": 'TARGET = "asyncq.core.child:run"',
                "asyncq/core/child.py": "",
                "asyncq/__main__.py": "",
            }
        ),
    ),
]
