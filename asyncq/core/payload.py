"""Payloads and types: checks a payload against the annotation of its handler, and says objects in JSON's terms.

`reader_of` is asked once per task, `plain` by the codec for every object that JSON does not know. Validation is
msgspec's, or pydantic's where the annotation names one of its models; msgspec is loaded with the first such
annotation and pydantic never by us. Runs no code that a message names.
"""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final

from asyncq.core.errors import ConfigurationError, PayloadError

Read = Callable[[Any], Any]

_UNKNOWN: Final = object()
_MAX_FAULTS: Final = 3
_MAPPINGS: Final = (dict, collections.abc.Mapping)
_PLAIN: Final = (
    *(str, int, float, bool, type(None), Any, list, collections.abc.Sequence, *_MAPPINGS),
    *(types.UnionType, typing.Union, typing.Literal, typing.Required, typing.NotRequired),
)


def reader_of(handler: Callable[..., Any], task: str) -> Read | None:
    """What turns a decoded payload into what the handler's first parameter is annotated with.

    Only annotations in which a dataclass, a TypedDict, a msgspec Struct or a pydantic model occurs, at any depth, are
    checked; for all others the payload is handed over as it is.

    Returns: a function that raises PayloadError for what does not fit; None when there is nothing to check.

    Raises:
        ConfigurationError: the annotation names something that does not exist, or that nobody can check.
    """
    annotation = _annotation(handler, task)
    parts = list(_parts(annotation, task)) if annotation is not None else []
    if not any(map(_is_model, parts)):
        return None
    make = _pydantic_reader if any(map(_is_pydantic, parts)) else _msgspec_reader
    try:
        return _checking(make(annotation)) if all(map(_is_plain, parts)) else make(annotation)
    except Exception as error:  # whatever either library raises for a type that it cannot check
        raise _refused(task, annotation, error) from error


def plain(value: object) -> object:
    """An object as JSON's own types: pydantic models, Structs, Decimals, sets, ...

    Raises:
        TypeError: there is no such form.
    """
    import msgspec  # only for what orjson itself cannot write

    return _pydantic_dump(value) if _is_pydantic(type(value)) else msgspec.to_builtins(value, enc_hook=_pydantic_dump)


def _pydantic_dump(value: Any) -> object:
    if not hasattr(value, "model_dump"):
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return value.model_dump(mode="json", by_alias=True)


def _annotation(handler: Callable[..., Any], task: str) -> Any:
    """The resolved annotation of the first parameter; None if there is none."""
    try:
        first = next(iter(inspect.signature(handler).parameters.values()))
    except (TypeError, ValueError, StopIteration):  # a builtin, or no parameter at all
        return None
    if first.annotation is first.empty:
        return None
    return _resolved({"payload": first.annotation}, getattr(_function(handler), "__globals__", {}), task)["payload"]


def _function(handler: Any) -> Any:
    """The function behind partials, decorators, methods and callable objects: its module knows the names."""
    while True:
        if isinstance(handler, functools.partial):
            handler = handler.func
        elif hasattr(handler, "__wrapped__"):
            handler = handler.__wrapped__
        elif inspect.ismethod(handler):
            handler = handler.__func__
        elif not inspect.isfunction(handler) and inspect.isfunction(_call_of(handler)):
            handler = _call_of(handler)
        else:
            return handler


def _call_of(handler: object) -> Any:
    return inspect.getattr_static(type(handler), "__call__", None)


def _resolved(annotations: dict[str, Any], names: dict[str, Any], task: str) -> dict[str, Any]:
    holder = type("Annotated", (), {"__annotations__": annotations})
    try:
        return typing.get_type_hints(holder, globalns=names, include_extras=True)
    except Exception as error:
        raise _refused(task, next(iter(annotations.values())), error) from error


def _refused(task: str, annotation: Any, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"task {task!r}: the payload's type {annotation!r} cannot be checked: {type(error).__name__}: {error}; "
        "name a type that the handler's module has at run time, or leave the annotation out"
    )


def _parts(annotation: Any, task: str) -> Iterator[Any]:
    """The annotation and every type inside it, fields of dataclasses and TypedDicts included."""
    waiting: list[Any] = [annotation]
    seen: list[Any] = []
    while waiting:
        part = waiting.pop()
        if any(part is known for known in seen):  # types need not be hashable
            continue
        seen.append(part)
        yield part
        waiting += [origin for origin in (typing.get_origin(part),) if origin is not None]
        waiting += typing.get_args(part)
        if dataclasses.is_dataclass(part) or typing.is_typeddict(part):
            waiting += _fields(part, task)


def _fields(model: Any, task: str) -> list[Any]:
    try:
        return list(typing.get_type_hints(model, include_extras=True).values())
    except Exception as error:
        raise _refused(task, model, error) from error


def _is_pydantic(part: Any) -> bool:
    return isinstance(part, type) and hasattr(part, "__pydantic_validator__")


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and (
        dataclasses.is_dataclass(part)
        or typing.is_typeddict(part)
        or hasattr(part, "__struct_fields__")
        or _is_pydantic(part)
    )


def _is_plain(part: Any) -> bool:
    """A type whose values are JSON's own, once they are checked; what it is made of is judged for itself."""
    if typing.get_origin(part) in _MAPPINGS:
        return typing.get_args(part)[0] is str
    inside_a_literal = isinstance(part, str | int | None)
    return typing.get_origin(part) is not None or typing.is_typeddict(part) or inside_a_literal or part in _PLAIN


def _checking(read: Read) -> Read:
    """Hands over the payload itself, with the members that a TypedDict does not name."""

    def check(payload: Any) -> Any:
        read(payload)
        return payload

    return check


def _msgspec_reader(annotation: Any) -> Read:
    import msgspec  # 20 ms that only programs with typed payloads need

    convert, invalid = msgspec.convert, msgspec.ValidationError

    def read(payload: Any) -> Any:
        try:
            return convert(payload, annotation, str_keys=True)
        except invalid as error:
            raise PayloadError(_name(annotation), str(error)) from None

    with contextlib.suppress(invalid):
        convert(_UNKNOWN, annotation)  # fits nothing; TypeError if the type itself cannot be checked
    return read


def _pydantic_reader(annotation: Any) -> Read:
    import msgspec

    pydantic: Any = sys.modules["pydantic"]  # whoever has a model has loaded it
    adapter, encode = pydantic.TypeAdapter(annotation), msgspec.json.encode

    def read(payload: Any) -> Any:
        try:
            return adapter.validate_json(encode(payload))  # by JSON's rules also where a model is strict
        except pydantic.ValidationError as error:
            raise PayloadError(_name(annotation), _faults(error)) from None

    return read


def _faults(error: Any) -> str:
    """What pydantic found, without the values: they belong to the payload."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    said = [f"{'.'.join(map(str, fault['loc'])) or 'payload'}: {fault['msg']}" for fault in faults[:_MAX_FAULTS]]
    return "; ".join(said) + (f" and {len(faults) - _MAX_FAULTS} more" if len(faults) > _MAX_FAULTS else "")


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
