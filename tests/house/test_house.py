"""The house keeps its rules: who may import whom, sizes, docstrings, and where effects live. Standard library only."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "asyncq"
EVERYBODY = {"core", "broker", "client", "worker", "supervisor", "metrics", "maintenance", "admin", "cli", "simple"}

# Ours that a room may import; "room.module" allows one module of it.
ROOMS: dict[str, set[str]] = {
    "core": set(),
    "broker": {"core"},
    "metrics": {"core"},
    "client": {"core", "broker"},
    "worker": {"core"},
    "maintenance": {"core"},
    "supervisor": {"core.errors", "core.logs"},
    "admin": {"core", "metrics", "supervisor.scoreboard"},
    "simple": EVERYBODY,
    "cli": EVERYBODY | {""},
    "": EVERYBODY,
    "__main__": {"cli"},
}
# Third parties, and the modules of the room that may use them.
THIRD_PARTIES: dict[str, dict[str, set[str]]] = {
    "core": {"orjson": {"codec"}, "msgspec": {"payload"}},
    "broker": {"redis": set(), "hiredis": set()},
    "metrics": {"prometheus_client": {"exposition"}},
    "worker": {"uvloop": {"main"}},
    "admin": {"starlette": set(), "uvicorn": set()},
    "cli": {"click": set(), "uvloop": {"children"}},
}
NOT_IN_SUPERVISOR = {"asyncio", "threading", "multiprocessing", "subprocess", "concurrent"}
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv"}
FORKS = {"os.fork", "os.forkpty", "os.posix_spawn", "os.posix_spawnp", "pty.fork"}
NOWHERE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "eval()", "exec()", "compile()", "__import__()"}
MAX_FILE, MAX_TEST_FILE, MAX_FUNCTION = 400, 500, 50


def modules() -> list[str]:
    """Dotted names below asyncq: "core.codec", "simple", "" for the front door."""
    return sorted(name_of(path) for path in PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def path_of(module: str) -> Path:
    base = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(module: str) -> Iterator[str]:
    """Everything a module imports: type-only and lazy imports count."""
    for node in ast.walk(tree(path_of(module))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(imported: str) -> str | None:
    """The module of ours that is meant, without the name taken from it."""
    if imported.partition(".")[0] != "asyncq":
        return None
    inner = imported.removeprefix("asyncq").lstrip(".")
    while inner and not path_of(inner).exists():
        inner = inner.rpartition(".")[0]
    return inner


def violations(module: str) -> list[str]:
    room, _, inside = module.partition(".")
    found = []
    for imported in imports(module):
        target, third = ours(imported), imported.partition(".")[0]
        if target is not None:
            allowed = ROOMS[room]
            if target.partition(".")[0] != room and target not in allowed and target.partition(".")[0] not in allowed:
                found.append(f"{module} imports asyncq.{target}")
        elif room == "supervisor" and third in NOT_IN_SUPERVISOR:
            found.append(f"{module} imports {third}")
        elif third not in sys.stdlib_module_names:
            where = THIRD_PARTIES.get(room, {}).get(third)
            if where is None or (where and inside not in where):
                found.append(f"{module} imports {third}")
    return found


@pytest.mark.parametrize("module", modules())
def test_imports_go_down(module: str) -> None:
    assert [] == violations(module)


def test_there_is_no_import_cycle() -> None:
    edges = {module: {ours(name) for name in imports(module)} - {None, module} for module in modules()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for target in edges[module] - {""}:  # the front door is lazy and imported for its version only
                assert target is not None
                visit(target, (*path, module))
            done.add(module)

    for module in edges:
        if module:
            visit(module, ())


def python_files() -> list[Path]:
    folders = [PACKAGE, ROOT / "tests", ROOT / "examples", ROOT / "benchmarks"]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    limit = MAX_TEST_FILE if "tests" in path.relative_to(ROOT).parts else MAX_FILE

    assert len(path.read_text().splitlines()) <= limit
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno + 1 <= MAX_FUNCTION, f"{node.name} is too long"


@pytest.mark.parametrize("module", modules())
def test_every_module_says_what_it_is(module: str) -> None:
    assert len(ast.get_docstring(tree(path_of(module))) or "") > 40


def effects(source: ast.Module, module: str) -> set[str]:
    """What a module does that only another one may: read the environment, fork, run what was sent."""
    forbidden = set(NOWHERE)
    if module != "core.settings":
        forbidden |= ENVIRONMENT
    if module != "supervisor.spawn":
        forbidden |= FORKS
    found: set[str] = set()
    for node in ast.walk(source):
        match node:
            case ast.Import(names):
                found |= {alias.name.partition(".")[0] for alias in names}
                found |= {f"import os as {alias.asname}" for alias in names if alias.name == "os" and alias.asname}
            case ast.ImportFrom(where, names):
                found |= {str(where), *(f"{where}.{alias.name}" for alias in names)}
            case ast.Attribute(ast.Name(where), name):
                found.add(f"{where}.{name}")
            case ast.Call(ast.Name(called)):
                found.add(f"{called}()")
    return {name for name in found if name in forbidden or name.startswith("import os as")}


@pytest.mark.parametrize("module", modules())
def test_effects_stay_in_their_room(module: str) -> None:
    assert set() == effects(tree(path_of(module)), module)


@pytest.mark.parametrize(
    "planted",
    [
        "import os; os.environ['A']",
        "import os; os.getenv('A')",
        "import os; os.environb",
        "from os import environ",
        "from os import getenv",
        "import os as o; o.environ",
        "import os; os.fork()",
        "import os; os.forkpty()",
        "from os import fork",
        "import pickle",
        "from pickle import loads",
        "import marshal",
        "import shelve",
        "eval('1')",
        "exec('1')",
    ],
)
def test_an_effect_in_the_wrong_room_is_found(planted: str) -> None:
    assert set() != effects(ast.parse(planted), "core.logs")


def test_importing_any_module_has_no_effect() -> None:
    names = [f"asyncq.{module}".rstrip(".") for module in modules() if module != "__main__"]
    program = f"""
import importlib, os, socket, subprocess, sys, threading
def refuse(*a, **k): raise AssertionError("an effect at import")
socket.socket.connect = refuse
subprocess.Popen.__init__ = refuse
before = dict(os.environ), os.getcwd()
for name in {names!r}: importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
assert before == (dict(os.environ), os.getcwd())
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=os.sep)


def test_the_supervisors_parent_stays_light() -> None:
    program = """
import sys, asyncq.cli.main, asyncq.cli.supervise
heavy = {"redis", "asyncio", "uvloop", "prometheus_client", "starlette", "uvicorn", "orjson", "multiprocessing"}
sys.exit(" ".join(sorted(heavy & set(sys.modules))) or 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ("", 0) == (done.stderr.strip(), done.returncode)


def test_the_root_links_lead_to_the_rooms() -> None:
    for room in ("supervisor", "worker", "metrics"):
        link = ROOT / room
        if link.is_symlink():  # an archive without links is whole, too
            assert Path("asyncq", room) == link.readlink()
