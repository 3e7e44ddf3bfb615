"""Rules about effects that have one home: the environment, forks, running what was sent, tasks that somebody owns.

Found by name in the text, under whatever alias. What an import does is judged in test_at_import.py, which runs it.
Run by test_house.py over the real house and over the planted ones of effect_cases.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from tests.house.source import House, Source

_ENVIRONMENT = {
    "os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv", "os.path.expandvars",
    "posix.environ", "posix.putenv", "posix.unsetenv", "os.*", "posix.*",
}  # fmt: skip
_LENT = "asyncq.core.environment.variables"
_FORKS = {
    "os.fork", "os.forkpty", "os.posix_spawn", "os.posix_spawnp", "os.spawnl", "os.spawnle", "os.spawnlp",
    "os.spawnlpe", "os.spawnv", "os.spawnve", "os.spawnvp", "os.spawnvpe", "os.system", "os.popen", "posix.fork",
    "posix.forkpty", "posix.posix_spawn", "pty.fork", "pty.spawn", "_posixsubprocess", "multiprocessing",
    "concurrent.futures.process", "concurrent.futures.ProcessPoolExecutor", "os.*", "posix.*",
}  # fmt: skip
_RUNS_WHAT_WAS_SENT = {
    "pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "joblib", "copyreg", "runpy",
    "eval", "exec", "compile", "__import__",
    "builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__", "builtins.*",
}  # fmt: skip


def only_environment_reads_the_environment(house: House) -> list[str]:
    """`core/environment.py`, when it is called; `core/settings.py` through it."""
    why = "the environment belongs to core/environment.py"
    lent = _found(_all_but(house, "core.settings"), {_LENT}, "the environment is lent to core/settings.py only")
    return sorted([*_found(_all_but(house, "core.environment"), _ENVIRONMENT, why), *lent])


def only_spawn_forks(house: House) -> list[str]:
    """`supervisor/spawn.py`."""
    return _found(_all_but(house, "supervisor.spawn"), _FORKS, "only supervisor/spawn.py makes processes that way")


def nothing_runs_what_was_sent(house: House) -> list[str]:
    """No pickle and its kin, no eval, exec or compile, nowhere in what runs."""
    return _found(
        house.below("asyncq", "examples", "benchmarks", "deploy"), _RUNS_WHAT_WAS_SENT, "nothing runs what was sent"
    )


def _all_but(house: House, home: str) -> list[Source]:
    return [source for module, source in house.modules.items() if module != home]


def _found(sources: Iterable[Source], forbidden: set[str], why: str) -> list[str]:
    found = {
        source.at(node, f"{name}: {why}")
        for source in sources
        for name, node in _uses(source)
        if _prefixes(name) & forbidden
    }
    return sorted(found)


def _uses(source: Source) -> Iterator[tuple[str, ast.AST]]:
    """Every name that a file imports or reads, spelled out."""
    for node in source.nodes:
        match node:
            case ast.Import(names):
                yield from ((alias.name, node) for alias in names)
            case ast.ImportFrom(module, names):
                yield from ((f"{module}.{alias.name}", node) for alias in names)
            case ast.Attribute() | ast.Call():
                yield source.dotted(node), node
            case ast.Name(ctx=ast.Load()):
                yield source.dotted(node), node


def _prefixes(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts) + 1)}


def every_task_has_an_owner(house: House) -> list[str]:
    """No asyncio task is made and dropped: nobody would see it fail, and it may be collected while it runs."""
    return [
        source.at(
            call, f"the task of {source.dotted(call.func) or 'create_task'} is dropped; keep it, or use a TaskGroup"
        )
        for source in house.sources
        for call in _dropped(source)
        if _makes_a_task(source, call)
    ]


def _dropped(source: Source) -> Iterator[ast.Call]:
    """Calls whose result nobody keeps: a statement of its own, `_ = ...`, the body of a lambda."""
    for node in source.nodes:
        match node:
            case ast.Expr(ast.Call() as call) | ast.Lambda(body=ast.Call() as call):
                yield call
            case ast.Assign([ast.Name("_")], ast.Call() as call):
                yield call


def _makes_a_task(source: Source, call: ast.Call) -> bool:
    """A TaskGroup owns what it makes; its variable is called ...group."""
    match call.func:
        case ast.Name():
            return source.dotted(call.func) in ("asyncio.create_task", "asyncio.ensure_future")
        case ast.Attribute(owner, "create_task" | "ensure_future" | "run_coroutine_threadsafe"):
            return not ast.unparse(owner).endswith("group")
    return False
