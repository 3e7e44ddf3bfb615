"""The house as text: every file that a rule looks at, read once. Used by the rules and their tests; judges nothing.

A rule is a function of a House and returns sentences, each beginning with `file:line:`. The real house comes from
`on_disk`, a planted one from `mini`: rules cannot tell them apart.
"""

from __future__ import annotations

import ast
import fnmatch
import importlib.util
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.find_spec("asyncq")
assert _SPEC is not None
assert _SPEC.origin is not None
# Of a checkout or installed from a wheel: its files are named asyncq/... in both cases.
PACKAGE: Final = Path(_SPEC.origin).resolve().parent

_PYTHON: Final = ("tests", "examples", "benchmarks")
_PROSE: Final = ("docs", "deploy")
_MADE: Final = (
    ".git", ".venv*", ".asyncq", "*_cache", "__pycache__", ".hypothesis", ".idea", ".vscode", "node_modules",
    "*.egg-info", "build", "dist", "PKG-INFO", "setup.cfg",
)  # fmt: skip

Kind = Literal["checkout", "archive", "sdist"]


@dataclass(frozen=True)
class Source:
    """One Python file.

    Attributes:
        where: Its path from the root of the house.
        text: What stands in it.
    """

    where: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.where)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """The whole tree, flat."""
        return list(ast.walk(self.tree))

    @cached_property
    def module(self) -> str | None:
        """Dotted name below asyncq: "core.codec", "core", "" for the front door; None outside of asyncq."""
        parts = self.where.removesuffix(".py").split("/")
        if parts[0] != "asyncq":
            return None
        return ".".join(parts[1:-1] if parts[-1] == "__init__" else parts[1:])

    @cached_property
    def aliases(self) -> dict[str, str]:
        """What each imported name stands for: `import os as o` o -> os, `from os import fork as f` f -> os.fork."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found |= {alias.asname or _top(alias.name): _bound(alias) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        return found

    def dotted(self, node: ast.AST) -> str:
        """`o.environ` as "os.environ", with imported names spelled out; "" for what is no name."""
        match node:
            case ast.Name(name):
                return self.aliases.get(name, name)
            case ast.Attribute(value, name):
                return f"{self.dotted(value)}.{name}"
            case ast.Call(ast.Name("getattr"), [value, ast.Constant(str(name)), *_]):
                return f"{self.dotted(value)}.{name}"
        return ""

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Every call and the dotted name of what is called."""
        for node in self.nodes:
            if isinstance(node, ast.Call):
                yield node, self.dotted(node.func)

    def at(self, node: ast.AST | int, sentence: str) -> str:
        """A finding."""
        line = node if isinstance(node, int) else getattr(node, "lineno", 1)
        return f"{self.where}:{line}: {sentence}"


def _top(name: str) -> str:
    return name.partition(".")[0]


def _bound(alias: ast.alias) -> str:
    return alias.name if alias.asname else _top(alias.name)


@dataclass(frozen=True)
class House:
    """Everything the rules look at.

    Attributes:
        files: Path from the root -> text, of Python, of docs and deploy, and of the files at the top.
        top: Names at the top level: what git knows, or what lies there; no files that begin with a dot.
        links: Names at the top that are links -> where they lead.
        kind: A checkout holds all; an archive need not keep links; an sdist may leave things out.
    """

    files: Mapping[str, str]
    top: frozenset[str]
    links: Mapping[str, str] = field(default_factory=dict)
    kind: Kind = "checkout"

    @cached_property
    def sources(self) -> list[Source]:
        """The Python files."""
        return [Source(where, text) for where, text in sorted(self.files.items()) if where.endswith(".py")]

    @cached_property
    def modules(self) -> dict[str, Source]:
        """The modules of asyncq by dotted name."""
        return {source.module: source for source in self.sources if source.module is not None}

    def below(self, *folders: str) -> list[Source]:
        """The Python files in these top-level folders."""
        return [source for source in self.sources if source.where.partition("/")[0] in folders]

    def is_package(self, module: str) -> bool:
        return self.modules[module].where.endswith("/__init__.py")


def mini(files: Mapping[str, str], links: Mapping[str, str] | None = None, kind: Kind = "checkout") -> House:
    """A house in memory."""
    links = links or {}
    return House(files, frozenset(where.partition("/")[0] for where in files) | set(links), links, kind)


def on_disk(root: Path = ROOT, package: Path = PACKAGE) -> House:
    """The house that these tests stand in, with the package that Python imports."""
    kind, top = _top_level(root)
    paths = {f"asyncq/{path.relative_to(package).as_posix()}": path for path in package.rglob("*.py")}
    for folder in (*_PYTHON, *_PROSE):
        for path in (root / folder).rglob("*.py" if folder in _PYTHON else "*"):
            if path.is_file() and "__pycache__" not in path.parts:
                paths[path.relative_to(root).as_posix()] = path
    paths |= {path.name: path for path in root.iterdir() if path.suffix in (".md", ".toml") and path.is_file()}
    files = {where: path.read_text(encoding="utf-8", errors="replace") for where, path in paths.items()}
    links = {name: os.readlink(root / name) for name in top if (root / name).is_symlink()}
    return House(files, top, links, kind)


def _top_level(root: Path) -> tuple[Kind, frozenset[str]]:
    tracked = _tracked(root)
    if tracked is not None:
        kind: Kind = "checkout"
        names = {name for name in tracked if os.path.lexists(root / name)}
    else:
        kind = "sdist" if (root / "PKG-INFO").exists() else "archive"
        names = {path.name for path in root.iterdir() if not any(fnmatch.fnmatch(path.name, made) for made in _MADE)}
    return kind, frozenset(name for name in names if not (name.startswith(".") and (root / name).is_file()))


def _tracked(root: Path) -> set[str] | None:
    """The first parts of the paths that git knows; None where there is no git or the root is not its root."""
    try:
        where = subprocess.run(["git", "rev-parse", "--show-toplevel"], cwd=root, capture_output=True, text=True)
        known = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    except OSError:
        return None
    if where.returncode or known.returncode or Path(where.stdout.strip()).resolve() != root:
        return None
    return {path.partition("/")[0] for path in known.stdout.split("\0") if path}
