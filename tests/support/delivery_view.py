"""Every key of some queues in one form, read from Redis or from the model, so that both can be compared.

Called by the state machine of tests/contract after each step. Says on the way what no key may lack: a time to live
where one is promised, an owner where one is needed. Reads, never mends.
"""

from collections.abc import Callable, Iterable
from typing import Any

import redis

from tests.support.cut_wire import reason_and_raw
from tests.support.delivery_model import Copy, DeliveryModel

MORTAL = ("due", "crashes", "crashes:counts", "killed", "lease")
OWNED = ("inflight", "inbox", "lease")


def kind_of(key: str, queues: Iterable[str]) -> tuple[str, str]:
    """(kind, incarnation): `inflight`, `dead:records`, ... or `ready`."""
    for queue in queues:
        _, found, kind = key.partition(f"}}:{queue}:")
        if key == queue:
            return "ready", ""
        if found:
            head, _, wid = kind.partition(":")
            return (head, wid) if head in OWNED else (kind, "")
    raise AssertionError(f"a key of no queue: {key}")


Reader = tuple[str, Callable[[Any], Any]]


READERS: dict[str, Reader] = {
    **dict.fromkeys(("ready", "inbox", "suspects", "accused", "due"), ("LRANGE", list)),
    "inflight": ("HGETALL", lambda found: {int(token): raw for token, raw in found.items()}),
    "scheduled:payloads": ("HGETALL", lambda found: {id_.decode(): raw for id_, raw in found.items()}),
    "dead:records": ("HGETALL", lambda found: {id_.decode(): reason_and_raw(record) for id_, record in found.items()}),
    "crashes:counts": (
        "HGETALL",
        lambda found: {sha.decode(): tuple(map(int, counts.split())) for sha, counts in found.items()},
    ),
    "workers": ("ZRANGE", lambda found: {wid.decode(): min(int(score), 2) for wid, score in found}),
    **dict.fromkeys(("scheduled", "dead", "crashes"), ("ZRANGE", lambda found: {id_.decode() for id_, _ in found})),
    "lease": ("GET", int),
    "killed": ("GET", lambda since: int(int(since) > 0)),
}


def in_redis(client: redis.Redis, queues: Iterable[str]) -> dict[str, Any]:
    """Every key."""
    names = sorted(name.decode() for name in client.scan_iter(count=1000))
    kinds = [kind_of(name, queues) for name in names]
    pipeline = client.pipeline(transaction=False)
    for name, (kind, _) in zip(names, kinds, strict=True):
        verb = READERS[kind][0]
        if verb == "LRANGE":
            pipeline.lrange(name, 0, -1)
        elif verb == "HGETALL":
            pipeline.hgetall(name)
        elif verb == "ZRANGE":
            pipeline.zrange(name, 0, -1, withscores=True)
        else:
            pipeline.get(name)
        pipeline.pttl(name)
    facts = pipeline.execute()
    found = {}
    for name, (kind, _), value, ttl_ms in zip(names, kinds, facts[::2], facts[1::2], strict=True):
        found[name] = READERS[kind][1](value)
        assert (ttl_ms > 0) is (kind in MORTAL), f"{name} lives {ttl_ms} ms"
    for name, (kind, wid) in zip(names, kinds, strict=True):
        register = f"{name.partition(f':{kind}:')[0]}:workers"
        assert not wid or kind in MORTAL or wid in found.get(register, {}), f"{name} belongs to nobody"
    return found


def in_model(model: DeliveryModel) -> dict[str, Any]:
    """The same of the model."""
    return {key: _plain(key, value) for key, value in model.db.items() if value}


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return [copy.raw for copy in value]
    if key.endswith(":due"):
        return list(value.values())
    if ":lease:" in key or key.endswith(":killed"):
        return value[""]
    if key.endswith((":scheduled", ":dead", ":crashes")):
        return set(value)
    return {name: _item(item) for name, item in value.items()}


def _item(item: Any) -> Any:
    if isinstance(item, Copy):
        return item.raw
    return (item[0], item[1].raw) if isinstance(item, tuple) and isinstance(item[1], Copy) else item


def raws_in(found: dict[str, Any]) -> list[bytes]:
    """The bytes of every message in these keys."""
    raws: list[bytes] = []
    for key, value in found.items():
        if key.endswith((":due", ":workers", ":killed", ":counts")) or isinstance(value, int | set):
            continue
        items = value if isinstance(value, list) else value.values()
        raws += [item[1] if isinstance(item, tuple) else item for item in items]
    return raws
