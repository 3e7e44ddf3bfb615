"""YAML read strictly, and compared with a schema written down by hand: only what asyncq's files use.

`load_all` refuses a key that stands twice, which PyYAML takes. `check` finds what the receiver would drop in silence or
refuse: unknown fields, missing ones, values of the wrong kind.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Refuses doubled keys."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"{key} stands twice (line {node.start_mark.line + 1})")
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_all(text: str) -> list[Any]:
    """The documents of a file.

    Raises:
        ValueError: it is no YAML, or a key stands twice.
    """
    try:
        return list(yaml.load_all(text, _Loader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Value:
    """A plain value: its name for people, and whether one is it."""

    name: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping with these fields and no others.

    Attributes:
        required: Must be there.
        optional: May be there.
    """

    required: Mapping[str, Shape]
    optional: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list with at least one of these."""

    each: Shape


Shape = Value | Fields | Listed


def fields(*, optional: Mapping[str, Shape] | None = None, **required: Shape) -> Fields:
    """Required fields by keyword, optional ones in a mapping."""
    return Fields(required, optional or {})


def text_like(name: str, pattern: str) -> Value:
    """A text, not a number that looks like one."""
    return Value(name, lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None)


def one_of(*choices: object) -> Value:
    """Exactly one of these; True is not 1."""
    return Value(
        f"one of {choices}", lambda value: any(value == each and type(value) is type(each) for each in choices)
    )


def whole(low: int, high: int) -> Value:
    """A whole number in the range."""
    return Value(f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


TEXT = text_like("text", r"(?s).+")
SWITCH = Value("true or false", lambda value: isinstance(value, bool))
LABELS = Value(
    "a mapping of texts",
    lambda value: isinstance(value, dict) and all(isinstance(part, str) for pair in value.items() for part in pair),
)


def check(value: Any, shape: Shape, path: str = "") -> Iterator[str]:
    """Where the value is not of that shape, in sentences."""
    match shape:
        case Value(name, fits):
            if not fits(value):
                yield f"{path}: expected {name}, found {value!r}"
        case Listed(each):
            if not isinstance(value, list) or not value:
                yield f"{path}: expected a list, found {value!r}"
                return
            for index, item in enumerate(value):
                yield from check(item, each, f"{path}[{index}]")
        case Fields():
            yield from _check_fields(value, shape, path)


def _check_fields(value: Any, shape: Fields, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: expected fields, found {value!r}"
        return
    known = {**shape.required, **shape.optional}
    for name, inner in value.items():
        if name in known:
            yield from check(inner, known[name], f"{path}.{name}".lstrip("."))
        else:
            near = difflib.get_close_matches(str(name), known, n=1)
            yield f"{path}: unknown field {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    for name in shape.required:
        if name not in value:
            yield f"{path}: {name} is missing"
