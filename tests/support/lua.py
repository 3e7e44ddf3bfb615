"""Running one Lua script and looking at every key before and after."""

from typing import Any

import redis

from asyncq.broker.keys import queue_keys
from asyncq.broker.scripts import script

KEYS = queue_keys("q")
WID = "host-abc123:7:0123456789ab"
INFLIGHT, INBOX, LEASE = KEYS.inflight(WID), KEYS.inbox(WID), KEYS.lease(WID)


def run(client: redis.Redis, name: str, keys: tuple[str, ...], *arguments: str | bytes | int) -> Any:
    """Run `lua/<name>.lua` with the caller's keys and arguments."""
    return client.eval(script(name).source, len(keys), *keys, *arguments)


def keyspace(client: redis.Redis) -> dict[str, Any]:
    """Every key with its content: lists, dicts of hashes, dicts of sorted sets, bytes of strings."""
    readers = {
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": lambda key: client.hgetall(key),
        b"zset": lambda key: dict(client.zrange(key, 0, -1, withscores=True)),
        b"string": lambda key: client.get(key),
    }
    return {key.decode(): readers[client.type(key)](key) for key in client.scan_iter(count=1000)}


def enter(client: redis.Redis, *, score: int = 0, leased: bool = True) -> None:
    """Put the incarnation WID into the register by hand."""
    client.zadd(KEYS.workers, {WID: score})
    if leased:
        client.set(LEASE, 1, px=15_000)


def redis_ms(client: redis.Redis) -> int:
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000
