"""Records of a JSON log, each in one piece again: what is too long for one line is written as several."""

from collections.abc import Iterable
from typing import Any

# Shorter fields are repeated in every part, longer ones are cut.
_SHORT_CHARS = 200


def joined(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of one kind with their pieces put together. Between the parts of one there may be others'."""
    whole: list[dict[str, Any]] = []
    begun: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in records:
        fields = {key: value for key, value in record.items() if key not in ("part", "parts")}
        if record.get("part", 1) == 1:
            whole.append(fields)
            begun[_origin(fields)] = fields
            continue
        before = begun[_origin(fields)]
        for key, value in fields.items():
            if before.get(key) != value or len(str(value)) > _SHORT_CHARS:
                before[key] = before.get(key, "") + value
    return whole


def _origin(fields: dict[str, Any]) -> tuple[Any, ...]:
    return fields.get("process"), fields.get("ts")
