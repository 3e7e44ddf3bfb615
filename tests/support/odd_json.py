"""JSON as strangers write it: odd blanks, escapes where none are needed, keys that stand twice, numbers of any length.

For property tests of the codec and of settlement. `members` is their oracle for what stands where in a text; it shares
nothing with the code under test.
"""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import strategies as st

BLANKS = " \t\r\n"
SHORT = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
FIELDS = ("id", "name", "payload", "timestamp", "attempt", "max_attempts", "timeout", "expires_at", "parked_since")


class Lexeme(str):
    """A number, as it stands in the text."""


class Pairs(list[tuple[str, Any]]):
    """An object whose keys may repeat."""


def whole(most: int) -> st.SearchStrategy[Lexeme]:
    return st.integers(-most, most).map(lambda number: Lexeme(str(number)))


def fraction(parts: tuple[int, int, int]) -> Lexeme:
    front, back, power = parts
    return Lexeme(f"{front}.{back}e{power}" if power % 2 else f"{front}.{back:03}E{power:+04}")


texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('{}[]:,"\\/ \n\0\x7fé😀'), max_size=8)
numbers = (
    whole(5)
    | whole(2**70)
    | whole(10**300)
    | st.tuples(st.integers(-9, 9), st.integers(0, 999), st.integers(-400, 290)).map(fraction)
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(texts, inner), max_size=3).map(Pairs),
    max_leaves=8,
)


@st.composite
def messages(draw: st.DrawFn, extra: st.SearchStrategy[Any] = values) -> bytes:
    """Bytes that are a message, members in any order, with unknown ones and ones that stand twice."""
    last: list[tuple[str, Any]] = [
        ("id", draw(texts.filter(bool))),
        ("name", draw(texts.filter(bool))),
        ("payload", draw(values)),
        ("timestamp", draw(whole(2**40) | st.just(Lexeme("1732300000.123456789")))),
    ]
    optional = {
        "attempt": st.integers(1, 5).map(lambda number: Lexeme(str(number))),
        "max_attempts": st.integers(1, 7).map(lambda number: Lexeme(str(number))),
        "parked_since": st.just(Lexeme("1732299999.5")),
        "errors": st.lists(values, max_size=4),
        "headers": st.just(Pairs([("traceparent", "00-1")])),
    }
    rng = Random(draw(st.integers(0, 2**32)))  # a coin for each: drawn lists would be short and much alike
    last += [(name, draw(value)) for name, value in optional.items() if rng.random() < 0.5]
    known = {name for name, _ in last} | set(optional) | set(FIELDS)
    last += [pair for pair in draw(st.lists(st.tuples(texts, extra), max_size=3)) if pair[0] not in known]
    first = [(name, draw(extra)) for name in draw(st.lists(st.sampled_from([name for name, _ in last]), max_size=2))]
    rng.shuffle(last)
    return written(Pairs([*first, *last]), rng)


def written(value: Any, rng: Random) -> bytes:
    """The value as a text that few would write, with blanks around it."""
    return f"{_blank(rng)}{_write(value, rng)}{_blank(rng)}".encode()


def _write(value: Any, rng: Random) -> str:
    match value:
        case None | True | False:
            return json.dumps(value)
        case Lexeme():
            return str(value)
        case str():
            return '"' + "".join(_sign(sign, rng) for sign in value) + '"'
        case Pairs():
            inside = (f"{_blank(rng)}{_write(key, rng)}{_blank(rng)}:{_around(item, rng)}" for key, item in value)
            return "{" + (",".join(inside) or _blank(rng)) + "}"
        case _:
            return "[" + (",".join(_around(item, rng) for item in value) or _blank(rng)) + "]"


def _around(value: Any, rng: Random) -> str:
    return f"{_blank(rng)}{_write(value, rng)}{_blank(rng)}"


def _sign(sign: str, rng: Random) -> str:
    """One character: as it is where that is allowed, escaped with a letter, or escaped with its number."""
    ways = [sign] if sign >= " " and sign not in '"\\' else []
    ways += [SHORT[sign]] if sign in SHORT else []
    units = sign.encode("utf-16-be")
    number = "".join(f"\\u{units[k]:02x}{units[k + 1]:02X}" for k in range(0, len(units), 2))
    return rng.choice([*ways, *ways, number])


def _blank(rng: Random) -> str:
    return "".join(rng.choices(BLANKS, k=rng.choice((0, 0, 1, 2))))


def members(raw: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """The members of the outermost object: key, the key's bytes, the value's bytes. By Python's own decoder."""
    text, decoder = raw.decode(), json.JSONDecoder(parse_int=str, parse_float=str)
    at = _past(text, 0) + 1
    while text[_past(text, at)] != "}":
        start = _past(text, at)
        key, end = decoder.raw_decode(text, start)
        begin = _past(text, _past(text, end) + 1)
        _, at = decoder.raw_decode(text, begin)
        yield key, text[start:end].encode(), text[begin:at].encode()
        at = _past(text, at)
        at += text[at] == ","


def _past(text: str, at: int) -> int:
    """The first place from `at` on that is no blank."""
    while text[at] in BLANKS:
        at += 1
    return at
