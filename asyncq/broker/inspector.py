"""RedisInspector: read-only questions about queues, and a look at dead letters.

Called by the admin process for its metrics and by `asyncq stats` and `asyncq dead`. Never changes a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.keys import queue_keys
from asyncq.broker.wires import async_wire
from asyncq.core import codec
from asyncq.core.doors import QueueStats
from asyncq.core.errors import MessageDecodeError


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """One dead letter as it is kept.

    Attributes:
        id: Its unique id in the queue's dead letters.
        header: reason, at_ms, and what the settlement said: error, error_type, traceback, attempt, name, ...
        raw: The message's bytes; of an oversized one the first 64 KiB.
    """

    id: str
    header: dict[str, Any]
    raw: bytes


class RedisInspector:
    """See core.doors.Inspector for the promises."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._wire = async_wire(settings, "inspector", connections=2)

    async def stats(self, queue: str) -> QueueStats:
        """Sizes of one queue; see the door. Times are compared on Redis' clock."""
        keys = queue_keys(queue)
        time, ready, scheduled, suspects, accused, dead, flat, oldest = await self._wire.pipeline(
            (
                ("TIME",),
                ("LLEN", keys.ready),
                ("ZCARD", keys.scheduled),
                ("LLEN", keys.suspects),
                ("LLEN", keys.accused),
                ("ZCARD", keys.dead),
                ("ZRANGE", keys.workers, 0, -1, "WITHSCORES"),
                ("LINDEX", keys.ready, 0),
            )
        )
        now_s = int(time[0]) + int(time[1]) / 1e6
        wids = [wid.decode() for wid in flat[::2]]
        counts = await self._wire.pipeline(
            [
                ("ZCOUNT", keys.scheduled, "-inf", int(now_s * 1000)),
                *(("HLEN", keys.inflight(wid)) for wid in wids),
                *(("LLEN", keys.inbox(wid)) for wid in wids),
            ]
        )
        return QueueStats(
            queue=queue,
            ready=ready,
            scheduled=scheduled,
            due=counts[0],
            in_flight=sum(counts[1:]),
            suspects=suspects + accused,
            dead=dead,
            workers=sum(float(score) == 0 for score in flat[1::2]),
            oldest_age_s=_age_s(oldest, now_s),
        )

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadRecord]:
        """The youngest `limit` dead letters, youngest first. Cost: 1 ZRANGE + 1 HMGET."""
        keys = queue_keys(queue)
        ids = await self._wire.call("ZRANGE", keys.dead, 0, limit - 1, "REV") if limit > 0 else []
        if not ids:
            return []
        lines = await self._wire.call("HMGET", keys.dead_records, *ids)
        # A record trimmed between the two commands is left out.
        return [_dead_record(id_.decode(), line) for id_, line in zip(ids, lines, strict=True) if line is not None]

    async def ping(self) -> None:
        """One PING."""
        await self._wire.call("PING")

    async def close(self) -> None:
        """Close the connections. No Redis call."""
        await self._wire.close()


def _dead_record(id_: str, line: bytes) -> DeadRecord:
    header, _, raw = line.partition(b"\n")
    return DeadRecord(id_, codec.load_json(header), raw)


def _age_s(raw: bytes | None, now_s: float) -> float | None:
    """Seconds since a message's timestamp, never below 0; None when there is none to read."""
    if raw is None:
        return None
    try:
        return max(now_s - codec.decode(raw).timestamp, 0.0)
    except MessageDecodeError:
        return None
