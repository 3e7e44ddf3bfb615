"""Finds keys that belong to nobody: what a test, or the code it drove, left behind in Redis.

Called by the fixture `redis_url` when a test has ended and nobody is connected any more. Every kind of key that asyncq
makes stands in KINDS with its type and its rule; a key of no kind is a leak. Reads, never mends.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import redis

from asyncq.core.queue_name import PREFIX, hash_tag, is_queue_name

Rule = Callable[["Keyspace", "Key"], str]


@dataclass(frozen=True)
class Key:
    """One key: `asyncq:{tag}:queue:kind`, behind the kind of some an incarnation or an id.

    Attributes:
        ttl_ms: -1 if it stays for ever.
    """

    name: str
    ttl_ms: int
    queue: str
    kind: str
    owner: str = ""

    def beside(self, kind: str) -> str:
        """The name of another key of the same queue."""
        return f"{PREFIX}{{{hash_tag(self.queue)}}}:{self.queue}:{kind}"


@dataclass
class Keyspace:
    """What the rules read besides the key they judge; a key of another type than it should be counts as empty."""

    client: redis.Redis
    types: dict[str, str]

    def scores(self, name: str) -> dict[bytes, float]:
        """Members and scores of a sorted set."""
        return dict(self.client.zrange(name, 0, -1, withscores=True)) if self.types.get(name) == "zset" else {}

    def fields(self, name: str) -> set[bytes]:
        """Names of the fields of a hash."""
        return set(self.client.hkeys(name)) if self.types.get(name) == "hash" else set()


def anything(space: Keyspace, key: Key) -> str:
    return ""


def ends(space: Keyspace, key: Key) -> str:
    return "" if key.ttl_ms > 0 else "has no time to live"


def belongs(space: Keyspace, key: Key) -> str:
    if space.scores(key.beside("workers")).get(key.owner.encode()) == 0:
        return ""
    return "belongs to an incarnation that is not registered any more"


def ends_and_belongs(space: Keyspace, key: Key) -> str:
    return ends(space, key) or belongs(space, key)


def pairs_with(other: str) -> Rule:
    """The sorted set `scheduled` or `dead` holds the same ids as the hash beside it."""

    def rule(space: Keyspace, key: Key) -> str:
        ids = key.kind.partition(":")[0]
        odd = set(space.scores(key.beside(ids))) ^ space.fields(key.beside(f"{ids}:{other}"))
        return f"of these ids one half is missing: {sorted(odd)[:3]}" if odd else ""

    return rule


def ends_and_pairs(space: Keyspace, key: Key) -> str:
    return ends(space, key) or pairs_with("counts")(space, key)


# kind: type, rule. Names as in asyncq/broker/keys.py and docs/reference/protocol.md; "<...>" is one part more.
KINDS: dict[str, tuple[str, Rule]] = {
    "workers": ("zset", anything),
    "lease:<wid>": ("string", ends_and_belongs),
    "inflight:<wid>": ("hash", belongs),
    "inbox:<wid>": ("list", belongs),
    "scheduled": ("zset", pairs_with("payloads")),
    "scheduled:payloads": ("hash", pairs_with("payloads")),
    "due": ("list", ends),
    "suspects": ("list", anything),
    "crashes": ("zset", ends_and_pairs),
    "crashes:counts": ("hash", ends_and_pairs),
    "accused": ("list", anything),
    "killed": ("string", ends),
    "dead": ("zset", pairs_with("records")),
    "dead:records": ("hash", pairs_with("records")),
    "enqueued:<id>": ("string", ends),
}
_PATTERNS = {kind: re.compile(re.sub(r"<\w+>", "(?P<owner>.+)", kind)) for kind in KINDS}


def leaks(client: redis.Redis) -> list[str]:
    """One sentence per key that belongs to nobody. Lists of queues belong to their readers."""
    names = sorted(name.decode() for name in client.scan_iter(count=1000))
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.type(name).pttl(name)
    facts = pipeline.execute()
    space = Keyspace(client, dict(zip(names, (kind.decode() for kind in facts[::2]), strict=True)))
    judged = {name: _judged(space, name, ttl_ms) for name, ttl_ms in zip(names, facts[1::2], strict=True)}
    return [f"{name}: {wrong}" for name, wrong in judged.items() if wrong]


def _judged(space: Keyspace, name: str, ttl_ms: int) -> str:
    type_ = space.types[name]
    if not name.startswith(PREFIX):
        return "" if type_ == "list" and is_queue_name(name) else f"a {type_}, and no list of a queue"
    queue, kind, owner = _parts(name)
    if not kind:
        return "of a kind that tests/support/key_leaks.py does not know"
    wanted, rule = KINDS[kind]
    if type_ != wanted:
        return f"expected a {wanted}, found a {type_}"
    return rule(space, Key(name, ttl_ms, queue, kind, owner))


def _parts(name: str) -> tuple[str, str, str]:
    """Queue, kind and owner of one of our keys; no kind if there is none such."""
    tag, _, rest = name.removeprefix(PREFIX + "{").partition("}:")
    pieces = rest.split(":")
    for count in range(len(pieces) - 1, 0, -1):  # a queue's name may hold colons, and so may what follows
        queue, tail = ":".join(pieces[:count]), ":".join(pieces[count:])
        if not is_queue_name(queue) or hash_tag(queue) != tag:
            continue
        for kind, pattern in _PATTERNS.items():
            if found := pattern.fullmatch(tail):
                return queue, kind, found.groupdict().get("owner", "")
    return "", "", ""
