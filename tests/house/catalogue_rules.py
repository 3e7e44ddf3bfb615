"""Rules about the two catalogues, metrics and settings: one place for each, and one spelling.

Run by test_house.py over the real house and over the planted ones of catalogue_cases.py.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.house.plan import OPTIONS
from tests.house.source import House, Source

_METRICS, _SETTINGS, _OPTIONS = "metrics.catalogue", "core.settings", "cli.options"
_METRIC_NAME = re.compile(r"asyncq_[a-z]")
_VARIABLE = re.compile(r"(?<![A-Z0-9_])ASYNCQ_[A-Z0-9][A-Z0-9_]*")
_PROSE = ("docs", "deploy", "examples", "asyncq")


def metrics_have_one_catalogue(house: House) -> list[str]:
    """`metrics/catalogue.py` makes every Metric, and nobody else writes the name of one."""
    found = []
    for module, source in house.modules.items():
        if module == _METRICS:
            continue
        for call, name in source.calls():
            if _is_ours(source, name, "Metric", "metrics", "metrics.series"):
                found.append(source.at(call, "a Metric is made in metrics/catalogue.py only"))
        for node in source.nodes:
            if (
                isinstance(node, ast.Constant)
                and isinstance(text := _text(node.value), str)
                and _METRIC_NAME.match(text)
            ):
                found.append(source.at(node, f"{text!r} names a metric; take it from metrics/catalogue.py"))
    return found


def _text(value: object) -> object:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _is_ours(source: Source, called: str, name: str, room: str, home: str) -> bool:
    """Whether that call is of our `name`: imported from somewhere in the room, or its own in its home."""
    return (called.startswith(f"asyncq.{room}") and called.endswith(f".{name}")) or (
        source.module == home and called == name
    )


def settings_have_one_catalogue(house: House) -> list[str]:
    """`core/settings.py` makes every Setting."""
    return [
        source.at(call, "a Setting is made in core/settings.py only")
        for module, source in house.modules.items()
        if module != _SETTINGS
        for call, name in source.calls()
        if any(_is_ours(source, name, maker, _SETTINGS, _SETTINGS) for maker in ("Setting", "_row"))
    ]


@dataclass(frozen=True)
class Row:
    """One setting as it stands in the catalogue.

    Attributes:
        line: Where.
        name: Field of Settings.
        key: In files; the flag is `--key`.
        variable: In the environment.
    """

    line: int
    name: str
    key: str
    variable: str


def rows(source: Source) -> list[Row]:
    """The catalogue as core/settings.py writes it: `_row("name", "key", ..., env=...)` or `Setting(name=...)`."""
    found = []
    for call, called in source.calls():
        given = {word.arg: word.value for word in call.keywords} | dict(zip(("name", "key"), call.args, strict=False))
        words = {key: node.value for key, node in given.items() if isinstance(node, ast.Constant)}
        if called in ("_row", "Setting") and {"name", "key"} <= set(words):
            name, key = str(words["name"]), str(words["key"])
            found.append(Row(call.lineno, name, key, str(words.get("env") or _variable(key))))
    return found


def _variable(key: str) -> str:
    return "ASYNCQ_" + key.upper().replace("-", "_")


def every_setting_has_one_row(house: House) -> list[str]:
    """Fields of Settings and rows of the catalogue are the same; keys and variables are different."""
    source = house.modules.get(_SETTINGS)
    if source is None:
        return []
    fields, known = _fields(source), rows(source)
    found = [source.at(line, f"the setting {name} has no row in CATALOGUE") for name, line in fields.items()
             if name not in {row.name for row in known}]  # fmt: skip
    found += [source.at(row.line, f"{row.name} is no field of Settings") for row in known if row.name not in fields]
    for what in ("name", "key", "variable"):
        count = Counter(getattr(row, what) for row in known)
        for row in known:
            if count[getattr(row, what)] > 1:
                found.append(source.at(row.line, f"two rows have the {what} {getattr(row, what)}"))
    return found


def _fields(source: Source) -> dict[str, int]:
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "Settings":
            return {
                child.target.id: child.lineno
                for child in node.body
                if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name)
            }
    return {}


def named_variables_exist(house: House) -> list[str]:
    """Every ASYNCQ_... that the documents, deploy, the examples and our own sentences name is a setting's."""
    source = house.modules.get(_SETTINGS)
    known = {row.variable for row in rows(source)} if source else set()
    known |= {f"{variable}_FILE" for variable in known}
    return [
        f"{where}:{number}: {name} is the variable of no setting"
        for where, text in sorted(house.files.items())
        if "/" not in where or where.startswith(tuple(f"{folder}/" for folder in _PROSE))
        for number, line in enumerate(text.splitlines(), 1)
        for name in _VARIABLE.findall(line)
        if name not in known
    ]


def options_are_settings_or_listed(house: House) -> list[str]:
    """A command's option comes from the catalogue, or stands in OPTIONS of tests/house/plan.py; and all there exist."""
    settings = house.modules.get(_SETTINGS)
    flags = {f"--{row.key}" for row in rows(settings)} if settings else set()
    found, seen = [], set()
    for source, call, option in _options(house):
        seen.add(option)
        if not option:
            if source.module != _OPTIONS:
                found.append(source.at(call, "an option without a literal name; use settings_options"))
        elif option in flags:
            found.append(source.at(call, f"{option} is a setting; use settings_options"))
        elif option not in OPTIONS:
            found.append(source.at(call, f"{option} is no setting; make it one, or list it in OPTIONS of plan.py"))
    if seen:
        found += [
            f"tests/house/plan.py:1: no command has {option} of OPTIONS" for option in sorted(set(OPTIONS) - seen)
        ]
    return found


def _options(house: House) -> Iterator[tuple[Source, ast.Call, str]]:
    """The long name of each option that is written out; "" if it is no literal."""
    for source in house.below("asyncq"):
        for call, name in source.calls():
            if name in ("click.option", "click.Option", "click.decorators.option", "click.core.Option"):
                words = [part for argument in call.args for part in _literals(argument)]
                names = [part for word in words for part in word.split("/") if part.startswith("-")]
                yield from ((source, call, option) for option in _long(names) or [""])


def _literals(node: ast.expr) -> list[str]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def _long(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("--")] or names
