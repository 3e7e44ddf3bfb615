"""A plain synchronous client that looks at a whole cluster as if it were one server.

Used by Cluster, so that tests written for one server can look at keys, connections and statistics here, too. It knows
who serves which slot from the start and follows nobody.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis
from redis.crc import key_slot

Answers = list[Any]


def _first(answers: Answers) -> Any:
    return answers[0]


def _added_up(answers: Answers) -> dict[str, dict[str, int]]:
    """The calls of each command in INFO commandstats."""
    found: dict[str, dict[str, int]] = {}
    for stats in answers:
        for name, facts in stats.items():
            if isinstance(facts, dict) and "calls" in facts:
                calls = found.setdefault(name, {"calls": 0})
                calls["calls"] += facts["calls"]
    return found or answers[0]


# What is asked of every node, and what is made of their answers.
_EVERYBODY: dict[str, Callable[[Answers], Any]] = {
    "ACL LOG": lambda answers: [row for rows in answers for row in rows] if isinstance(answers[0], list) else True,
    "ACL SETUSER": _first,
    "CONFIG RESETSTAT": _first,
    "CONFIG SET": _first,
    "DBSIZE": sum,
    "FLUSHALL": _first,
    "INFO": _added_up,
    "SCRIPT EXISTS": lambda answers: [all(each) for each in zip(*answers, strict=True)],
    "SCRIPT FLUSH": _first,
    "SCRIPT LOAD": _first,
}
_ANYBODY = {"TIME", "PING"}


class ClusterClient(redis.Redis):
    """Sends each command where its key lies, or to everybody.

    Args:
        nodes: A client for each node.
        owner: Position of the node that serves a slot.
    """

    def __init__(self, nodes: Sequence[redis.Redis], owner: Callable[[int], int]) -> None:
        super().__init__(port=1)  # never connected
        self._nodes = nodes
        self._owner = owner

    def execute_command(self, *args: Any, **options: Any) -> Any:
        name = str(args[0]).upper()
        if name in ("ACL", "CLUSTER"):
            name = f"{name} {args[1]}"
        if name in _EVERYBODY:
            return _EVERYBODY[name]([node.execute_command(*args, **options) for node in self._nodes])
        if name in _ANYBODY:
            return self._nodes[0].execute_command(*args, **options)
        key = args[3] if name in ("EVAL", "EVALSHA") else args[1]
        slot = key_slot(key if isinstance(key, bytes) else str(key).encode())
        return self._nodes[self._owner(slot)].execute_command(*args, **options)

    def client_list(self, *args: Any, **options: Any) -> list[dict[str, Any]]:  # type: ignore[override]
        """Connections of others, to any node."""
        rows = [(node.client_id(), row) for node in self._nodes for row in node.client_list()]
        return [row for own, row in rows if int(row["id"]) != own]

    def client_id(self, **_: Any) -> int:  # type: ignore[override]
        return -1

    def scan_iter(self, *args: Any, **options: Any) -> Iterator[bytes]:  # type: ignore[override]
        for node in self._nodes:
            yield from node.scan_iter(*args, **options)

    def pipeline(self, *_: Any, **__: Any) -> "OneByOne":  # type: ignore[override]
        return OneByOne(self._nodes, self._owner)

    def close(self) -> None:
        """The connections belong to the cluster."""


class OneByOne(ClusterClient):
    """A pipeline that is none: commands are kept, and sent one after the other."""

    def __init__(self, nodes: Sequence[redis.Redis], owner: Callable[[int], int]) -> None:
        super().__init__(nodes, owner)
        self._kept: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self._kept.append((args, options))
        return self

    def execute(self) -> list[Any]:
        """Send them."""
        return [super(OneByOne, self).execute_command(*args, **options) for args, options in self._kept]
