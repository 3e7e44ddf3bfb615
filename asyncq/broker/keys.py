"""Keys: the name of every Redis key that belongs to a queue.

Called by every module of this room that names a key; no key is spelt anywhere else. All keys of a queue carry the
hash tag of the list itself, so they share its Cluster slot and a script may touch them together. Never speaks Redis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from asyncq.core.queue_name import PREFIX, hash_tag


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of one queue; made by `queue_keys`.

    Attributes:
        ready: The list itself; its key is the queue's name.
        workers: Sorted set: incarnation -> 0 while registered, else the time its tombstone is forgotten (ms).
        scheduled: Sorted set: unique id -> due time (ms).
        payloads: Hash: the same id -> raw bytes.
        dead: Sorted set: dead letter id -> time of death (ms).
        dead_records: Hash: the same id -> header line, newline, raw bytes.
        suspects: List of messages in flight at two deaths or more, to be run alone.
        accused: List of those of them that died alone once, to be run alone when it is calm.
        crashes: Sorted set: sha1 of a message's bytes -> when a process that ran it died last (ms).
        crash_counts: Hash: the same sha1 -> "deaths points", see core.blame.
        killed: String with a time to live: since when workers are being killed (ms).
        due: List that wakes promoters when something became due earlier than everything else.
    """

    ready: str
    workers: str
    scheduled: str
    payloads: str
    dead: str
    dead_records: str
    suspects: str
    accused: str
    crashes: str
    crash_counts: str
    killed: str
    due: str
    base: str

    def inflight(self, wid: str) -> str:
        """Hash: token -> raw bytes of what this incarnation runs."""
        return f"{self.base}:inflight:{wid}"

    def inbox(self, wid: str) -> str:
        """List where this incarnation's blocking move lands."""
        return f"{self.base}:inbox:{wid}"

    def lease(self, wid: str) -> str:
        """String with a time to live: this incarnation is alive."""
        return f"{self.base}:lease:{wid}"

    def enqueued(self, message_id: str) -> str:
        """String with a time to live: a message with this id was enqueued retry-safe a while ago."""
        return f"{self.base}:enqueued:{message_id}"


@lru_cache(maxsize=1024)
def queue_keys(queue: str) -> QueueKeys:
    """All keys of a queue.

    Raises:
        ConfigurationError: the name is not legal.
    """
    base = f"{PREFIX}{{{hash_tag(queue)}}}:{queue}"
    return QueueKeys(
        ready=queue,
        workers=f"{base}:workers",
        scheduled=f"{base}:scheduled",
        payloads=f"{base}:scheduled:payloads",
        dead=f"{base}:dead",
        dead_records=f"{base}:dead:records",
        suspects=f"{base}:suspects",
        accused=f"{base}:accused",
        crashes=f"{base}:crashes",
        crash_counts=f"{base}:crashes:counts",
        killed=f"{base}:killed",
        due=f"{base}:due",
        base=base,
    )
