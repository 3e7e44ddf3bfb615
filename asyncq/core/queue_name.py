"""Which queue names are legal, and which part of a name decides its place in a Redis Cluster. Pure.

Called wherever a name comes in: settings, task options, and the broker before it names a key.
"""

from __future__ import annotations

import re
from typing import Final

from asyncq.core.errors import ConfigurationError

PREFIX: Final = "asyncq:"
MAX_QUEUE_CHARS: Final = 128
QUEUE_NAME_RULE: Final = f"1 to {MAX_QUEUE_CHARS} of the characters A-Z a-z 0-9 _ . : - and at most one {{tag}}"

_SIGNS: Final = r"[A-Za-z0-9_.:-]"
_NAME: Final = re.compile(rf"{_SIGNS}*(?:\{{(?P<tag>{_SIGNS}+)\}})?{_SIGNS}*")


def hash_tag(queue: str) -> str:
    """The part of a legal queue name that decides its Cluster slot.

    Raises:
        ConfigurationError: the name is not legal.
    """
    found = _NAME.fullmatch(queue)
    if found is None or not 0 < len(queue) <= MAX_QUEUE_CHARS:
        raise ConfigurationError(f"queue name {queue!r}: expected {QUEUE_NAME_RULE}")
    if queue.startswith(PREFIX):
        raise ConfigurationError(f"queue name {queue!r}: {PREFIX!r} begins asyncq's own keys; choose another name")
    return found["tag"] or queue


def is_queue_name(text: str) -> bool:
    """Whether `hash_tag` accepts it."""
    try:
        hash_tag(text)
    except ConfigurationError:
        return False
    return True
