"""Messages of somebody who means no good, and odd ones that are good all the same. Pure: random numbers are given."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

Made = tuple[bytes, str]
DEEPEST = 1024  # levels of nesting that the JSON reader takes


def bad(rng: Random) -> Made:
    """Bytes that must become a dead letter, and the reason that must stand there."""
    return rng.choice(KINDS)(rng)


def odd(rng: Random, n: int) -> bytes:
    """A good message for `work` as no library would write it."""
    payload = json.dumps({"n": n, "sleep": 0})
    id_, at = _text(rng, 256), rng.choice(["0", "-1", "1732300000", "1.7e9", "1732300000.123"])
    name = rng.choice(['"work"', '"w\\u006frk"', '"\\u0077ork"'])
    members = [f'"id": {json.dumps(id_)}', f'"name": {name}', f'"payload": {payload}', f'"timestamp": {at}']
    members += rng.sample(['"x": null', '"\\u0000": {"a": [1, {"b": "}"}]}', '"v": 1', '"headers": {}', '"": ""'], 2)
    rng.shuffle(members)
    if rng.random() < 0.3:
        members.insert(0, '"name": "nobody"')  # the last one counts
    space = rng.choice(["", " ", "\n\t "])
    return ("{" + f",{space}".join(members) + space + "}" + space).encode()


def good_fields(rng: Random, name: str = "work") -> dict[str, Any]:
    """A message like any other, but for its number: nobody counts it."""
    return {"id": _text(rng, 40), "name": name, "payload": {"sleep": 0}, "timestamp": rng.random() * 2e9}


def _text(rng: Random, longest: int) -> str:
    signs = 'ab01 "\\/\n\0\x7f{}[]:,é\u2028\U0001f600'
    return "".join(rng.choices(signs, k=rng.randint(1, longest)))


def _noise(rng: Random) -> Made:
    return b"\xff" + rng.randbytes(rng.randint(0, 2000)), "malformed"


def _cut(rng: Random) -> Made:
    raw = json.dumps(good_fields(rng)).encode()
    return raw[: rng.randrange(len(raw))], "malformed"


def _flipped(rng: Random) -> Made:
    """One byte of a message becomes one that UTF-8 does not know."""
    raw = bytearray(json.dumps(good_fields(rng)).encode())
    raw[rng.randrange(len(raw))] = rng.choice([0xC0, 0xC1, 0xF5, 0xFF])
    return bytes(raw), "malformed"


def _other_shape(rng: Random) -> Made:
    shapes: list[object] = [None, True, 0, -1.5e300, "", "work", [], [1], {}, [good_fields(rng)]]
    return json.dumps(rng.choice(shapes)).encode(), "malformed"


def _missing(rng: Random) -> Made:
    fields = good_fields(rng)
    del fields[rng.choice(["id", "name", "payload", "timestamp"])]
    return json.dumps(fields).encode(), "malformed"


def _wrong_type(rng: Random) -> Made:
    wrong: list[Any] = [None, [], {}, True]
    texts = [*wrong, 1, "", "x" * 257]
    numbers = [*wrong, "1732300000"]
    counts = [[], {}, "1", 0, -1, 1.5, True]
    choices = {"id": texts, "name": texts, "timestamp": numbers, "attempt": counts, "max_attempts": counts}
    choices |= {
        "timeout": ["1", -1, [], True],
        "expires_at": ["now", [], {}],
        "errors": [{}, "", 1],
        "headers": [[], ""],
    }
    key = rng.choice(list(choices))
    return json.dumps({**good_fields(rng), key: rng.choice(choices[key])}).encode(), "malformed"


def _no_number(rng: Random) -> Made:
    at = rng.choice([float("nan"), float("inf"), float("-inf")])
    return json.dumps({**good_fields(rng), "timestamp": at}).encode(), "malformed"


def _deep(rng: Random) -> Made:
    levels, (open_, close) = rng.randint(DEEPEST + 1, 9_000), rng.choice([("[", "]"), ('{"a":', "}")])
    nested = open_ * levels + "1" + close * levels * rng.randint(0, 1)
    return json.dumps(good_fields(rng)).replace('{"sleep": 0}', nested).encode(), "malformed"


def _unknown(rng: Random) -> Made:
    name = rng.choice(["nobody", "os.system", "__import__", "work ", "WORK", "../work", _text(rng, 256)])
    return json.dumps(good_fields(rng, name)).encode(), "unknown_task"


def _unknown_and_parked(rng: Random) -> Made:
    since = rng.choice([0, -1e308, 1e308, 2**63, 1732300000.5])
    return json.dumps({**good_fields(rng, "nobody"), "parked_since": since}).encode(), "unknown_task"


def _unfit(rng: Random) -> Made:
    payload = rng.choice([None, [], "x", 1, {}, {"n": "many"}, {"n": None}, {"n": 1.5}, {"n": [[]]}])
    return json.dumps({**good_fields(rng, "typed"), "payload": payload}).encode(), "rejected"


def _expired(rng: Random) -> Made:
    return json.dumps({**good_fields(rng), "expires_at": rng.choice([0, -1, 1.5e9, -1e308])}).encode(), "expired"


def _failing(rng: Random) -> Made:
    """A handler that cannot cope, no attempt left, and a history that somebody made up."""
    history = rng.choice([[], [None], [{"attempt": "x"}], [[[]]] * 50, ["\0" * 1000]])
    fields = {**good_fields(rng), "payload": rng.choice([None, [], "x", {}]), "attempt": 3, "errors": history}
    return json.dumps(fields).encode(), "exhausted"


def _too_large(rng: Random) -> Made:
    return json.dumps({**good_fields(rng), "x": "y" * rng.randint(70_000, 80_000)}).encode(), "oversized"


KINDS: list[Callable[[Random], Made]] = [
    _noise, _cut, _flipped, _other_shape, _missing, _wrong_type, _no_number, _deep, _unknown, _unknown_and_parked,
    _unfit, _expired, _failing, _too_large,
]  # fmt: skip
LARGEST_BYTES = 65_536  # the limit with which the workers run that meet these
