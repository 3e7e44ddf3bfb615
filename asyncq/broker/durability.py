"""Durability: what this Redis can lose of what it acknowledged, in words, judged by its settings and its state.

Called by the roof once at a start. `findings` is pure: what INFO and CONFIG GET said in, sentences out. Never changes a
setting, and never guesses: what this user may not see is said to be unseen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.wire_door import Wire
from asyncq.broker.wires import async_wire
from asyncq.core.errors import BrokerRefusedError

_SECTIONS: Final = ("persistence", "memory", "replication", "cluster")
_SETTINGS: Final = ("save", "appendfsync", "min-replicas-to-write")
_UNSEEN: Final = "this user has no right to CONFIG GET"

Facts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about a Redis.

    Attributes:
        warning: Somebody should change it: work is lost without anything failing.
        text: Begins with what Redis does, without its name.
    """

    warning: bool
    text: str


async def ask(settings: ConnectionSettings) -> list[Finding]:
    """Ask the Redis there and judge; of a Cluster any one node, of Sentinel's servers the master.

    Cost: 1 PING, 1 INFO, 1 CONFIG GET, on a connection of its own.

    Raises:
        BrokerError: it cannot be reached, or refuses even the connection.
    """
    wire = async_wire(settings, "durability", 1)
    try:
        await wire.call("PING")  # a refusal from here on is about one command, not about the user
        said = await _allowed(wire, "INFO", *_SECTIONS)
        config = await _allowed(wire, "CONFIG", "GET", *_SETTINGS)
    finally:
        await wire.close()
    return findings(None if said is None else facts_in(said), None if config is None else _pairs(config))


async def _allowed(wire: Wire, *command: str) -> Any:
    """The reply, or None when this user, or this service, does not allow the command."""
    try:
        return await wire.call(*command)
    except BrokerRefusedError:
        return None


def facts_in(info: bytes) -> dict[str, str]:
    """The fields of an INFO reply. Pure."""
    return dict(re.findall(r"^(\w+):(.*?)\r?$", info.decode("utf-8", "replace"), re.MULTILINE))


def _pairs(flat: list[bytes]) -> dict[str, str]:
    texts = [part.decode("utf-8", "replace") for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def findings(info: Facts | None, config: Facts | None) -> list[Finding]:
    """What can be lost, the gravest first. Pure.

    Args:
        info: Fields of INFO; None when it was refused.
        config: Settings by name; None when CONFIG GET was refused.
    """
    if info is None:
        return [Finding(False, "does not say what it can lose: this user has no right to INFO")]
    config = config or {}
    found = [*_persistence(info, config), *_failing(info), *_eviction(info), *_replication(info, config)]
    return sorted(found, key=lambda finding: not finding.warning)


def _persistence(info: Facts, config: Facts) -> list[Finding]:
    if info.get("aof_enabled") == "1":
        return [Finding(False, _append_only(config.get("appendfsync")))]
    if info.get("aof_enabled") is None:
        return [Finding(False, "does not say whether it persists anything")]
    return [_snapshots(config.get("save"))]


def _append_only(fsync: str | None) -> str:
    """How much of the append-only file a failure takes.

    With everysec Redis puts writes off while an fsync is under way, for up to 2 s, and answers all the same.
    """
    match fsync:
        case "always":
            return "loses nothing that it acknowledged, also when its machine loses power (appendfsync always)"
        case "everysec":
            return (
                "can lose the last second or two of what it acknowledged, when its machine loses power or when it dies "
                "during an fsync (appendonly yes, appendfsync everysec)"
            )
        case "no":
            return (
                "can lose about the last half minute of what it acknowledged, when its machine loses power; "
                "nothing when it alone dies (appendonly yes, appendfsync no)"
            )
    return (
        f"can lose, when its machine loses power, what appendfsync allows ({_UNSEEN}: nothing with always, "
        "a second or two with everysec, half a minute with no)"
    )


def _snapshots(save: str | None) -> Finding:
    """Without an append-only file: the last snapshot is all there is, if there is one."""
    if save is None:
        text = (
            f"loses all since its last snapshot when it dies, or everything if it makes none ({_UNSEEN}); "
            "set appendonly yes"
        )
        return Finding(True, text)
    if not save.strip():
        return Finding(
            True, "persists nothing: when it ends, every message and every result is lost; set appendonly yes"
        )
    longest_s = max(map(int, re.findall(r"(\d+) \d+", save)), default=None)
    window = "" if longest_s is None else f", up to {longest_s} s of work and less when much is written"
    text = (
        f"loses all since its last snapshot when it dies{window} "
        f"(save {save}); set appendonly yes to lose a second or two at most"
    )
    return Finding(False, text)


def _failing(info: Facts) -> list[Finding]:
    """What it wanted to persist and could not."""
    found = []
    if info.get("aof_enabled") == "1" and info.get("aof_last_write_status", "ok") != "ok":
        text = "could not write its append-only file and refuses writes until it can: is its disk full?"
        found.append(Finding(True, text))
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        text = "could not make its last snapshot and refuses writes if stop-writes-on-bgsave-error is on: see its log"
        found.append(Finding(True, text))
    return found


def _eviction(info: Facts) -> list[Finding]:
    policy, limit = info.get("maxmemory_policy", "noeviction"), info.get("maxmemory", "0")
    if policy == "noeviction" or limit == "0":
        return []
    what = "queues, also those that hold what is running" if policy.startswith("allkeys") else "leases and id guards"
    text = f"deletes {what}, when its {limit} bytes are full (maxmemory-policy {policy}); set it to noeviction"
    return [Finding(True, text)]


def _replication(info: Facts, config: Facts) -> list[Finding]:
    if info.get("role") == "slave":
        if info.get("cluster_enabled") == "1":  # any node answered; what is written goes to masters
            return []
        return [Finding(True, "is a replica: it refuses writes until it is promoted; name its master instead")]
    if info.get("connected_slaves", "0") == "0":
        return []
    least = config.get("min-replicas-to-write")
    if least is None:
        limit = f"whether min-replicas-to-write limits that is unseen: {_UNSEEN}"
    elif least == "0":
        limit = "min-replicas-to-write 1 would limit that"
    else:
        limit = f"min-replicas-to-write {least} limits that"
    return [Finding(False, f"can lose, at a failover, what its replicas had not copied yet; {limit}")]
