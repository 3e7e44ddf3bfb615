"""The codec for any bytes: what goes in comes out, nothing but one error, and a retry carries every other byte over."""

import contextlib
import json
import tracemalloc
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncq.core import codec
from asyncq.core.errors import MessageDecodeError
from tests.support.odd_json import Pairs, members, messages, texts, values, written
from tests.support.properties import MANY

# What both sides of the wire hold for the same: integers of 64 bits, floats but NaN and infinity, text that is UTF-8.
plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)
seconds = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(1, 2**64 - 1)
good_fields = st.fixed_dictionaries(
    {"id": names, "name": names, "payload": plain_values, "timestamp": seconds},
    optional={
        "attempt": counts,
        "max_attempts": counts,
        "timeout": seconds.filter(lambda value: value >= 0),
        "expires_at": seconds,
        "parked_since": seconds,
        "errors": st.lists(plain_values, max_size=3),
        "headers": st.dictionaries(texts, plain_values, max_size=2),
        "colour": plain_values,
        "": plain_values,
    },
)


@MANY
@given(good_fields)
def test_what_is_encoded_is_decoded_to_the_same(fields: dict[str, Any]) -> None:
    raw = codec.encode(fields)

    assert fields == codec.decode(raw).fields
    assert fields == json.loads(raw)


@MANY
@given(st.binary(max_size=300) | values.map(lambda value: written(value, Random(0))) | st.text().map(str.encode))
def test_no_bytes_raise_anything_but_the_one_error(raw: bytes) -> None:
    with contextlib.suppress(MessageDecodeError):
        codec.decode(raw)


@MANY
@given(messages(), st.data())
def test_no_damaged_message_raises_anything_but_the_one_error(raw: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 3)))

    with contextlib.suppress(MessageDecodeError):
        codec.decode(raw[:start] + data.draw(st.binary(max_size=3)) + raw[end:])


@pytest.mark.parametrize("depth", [1022, 1023, 1024, 5000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_nesting_is_read_or_refused(opening: bytes, closing: bytes, depth: int) -> None:
    times = depth // len(set(opening) & set(b"[{"))
    payload = opening * times + b"1" + closing * times
    raw = b'{"id":"1","name":"n","payload":' + payload + b',"timestamp":1.5}'

    if depth <= 1023:
        assert payload in codec.replace_members(raw, {"attempt": 2})
        assert "n" == codec.decode(raw).name
    else:
        with pytest.raises(MessageDecodeError, match="not JSON"):
            codec.decode(raw)


def obeys_the_rules(fields: Any) -> bool:
    """The protocol's table once more, in other words than the code's."""

    def number(value: Any, least: float = float("-inf")) -> bool:
        return type(value) in (int, float) and value >= least

    def name(value: Any) -> bool:
        return type(value) is str and 1 <= len(value) <= 256

    if type(fields) is not dict or not {"id", "name", "payload", "timestamp"} <= set(fields):
        return False
    one_or_more = {key: fields.get(key, 1) for key in ("attempt", "max_attempts")}
    return all(
        [
            name(fields["id"]) and name(fields["name"]) and number(fields["timestamp"]),
            all(type(value) is int and value >= 1 for value in one_or_more.values()),
            number(fields.get("timeout", 0), 0) and number(fields.get("expires_at", 0)),
            number(fields.get("parked_since", 0)),
            type(fields.get("errors", [])) is list and type(fields.get("headers", {})) is dict,
        ]
    )


odd_values = st.sampled_from([None, True, False, 0, 1, -1, 1.0, 0.5, -0.5, "", "x", "x" * 257, [], [1], {}, {"a": 1}])
REQUIRED = ["id", "name", "payload", "timestamp"]
OPTIONAL = ["attempt", "max_attempts", "timeout", "expires_at", "parked_since", "errors", "headers"]
odd_fields = st.dictionaries(st.sampled_from([*REQUIRED, *OPTIONAL]), odd_values, max_size=3)


@MANY
@given(good_fields, odd_fields, st.sets(st.sampled_from(REQUIRED), max_size=1))
def test_exactly_what_obeys_the_rules_is_a_message(good: dict[str, Any], odd: dict[str, Any], gone: set[str]) -> None:
    fields = {key: value for key, value in {**good, **odd}.items() if key not in gone}
    try:
        codec.decode(json.dumps(fields).encode())
        accepted = True
    except MessageDecodeError:
        accepted = False

    assert obeys_the_rules(fields) == accepted


changes = st.dictionaries(
    st.sampled_from(["attempt", "errors", "parked_since", "colour", "", "é"]),
    st.none() | plain_values.filter(lambda value: value is not None),
    max_size=4,
)


class TestReplaceMembers:
    @MANY
    @example(b'{"id":"1","name":"n","payload":"\\\\","timestamp":1}', {"attempt": 2})
    @example(b'{"id":"1","name":"n","payload":"},\\"attempt\\":1","timestamp":1}', {"attempt": 2})
    @example(b'{"id":"1","name":"n","payload":{"attempt":1},"timestamp":1,"attempt":1,"attempt":1}', {"attempt": 2})
    @given(messages(), changes)
    def test_every_other_member_keeps_its_bytes_and_its_place(self, raw: bytes, changed: dict[str, Any]) -> None:
        after = list(members(codec.replace_members(raw, changed)))

        kept = [member for member in members(raw) if member[0] not in changed]
        added = {key: value for key, value in changed.items() if value is not None}
        assert kept == after[: len(kept)]
        assert added == {key: json.loads(value) for key, _, value in after[len(kept) :]}
        assert len(added) == len(after) - len(kept)

    @MANY
    @given(messages(), changes)
    def test_the_fields_are_the_same_but_for_the_changes(self, raw: bytes, changed: dict[str, Any]) -> None:
        before = dict(codec.decode(raw).fields)
        try:
            after = codec.decode(codec.replace_members(raw, changed)).fields
        except MessageDecodeError:  # the changes themselves are no member of a message
            assert not obeys_the_rules(
                {**before, **{key: value for key, value in changed.items() if value is not None}}
            )
            return

        kept = {key: value for key, value in before.items() if key not in changed}
        assert {**kept, **{key: value for key, value in changed.items() if value is not None}} == after

    @MANY
    @given(messages(), changes)
    def test_doing_it_again_changes_nothing(self, raw: bytes, changed: dict[str, Any]) -> None:
        once = codec.replace_members(raw, changed)

        assert once == codec.replace_members(once, changed)

    @MANY
    @given(messages(), st.lists(st.sampled_from(["attempt", "errors", "parked_since", "headers"]), unique=True))
    def test_none_removes_a_member_wherever_and_however_often_it_stands(self, raw: bytes, gone: list[str]) -> None:
        after = codec.replace_members(raw, dict.fromkeys(gone))

        assert set() == set(gone) & {key for key, _, _ in members(after)}

    @MANY
    @given(messages(extra=st.just(Pairs([("a", "}")]))))
    def test_no_change_but_blanks_when_nothing_is_to_be_changed(self, raw: bytes) -> None:
        assert list(members(raw)) == list(members(codec.replace_members(raw, {})))

    @pytest.mark.parametrize("piece", ["x", '\\"', '\\"y', "\\\\", "\\u0041"])
    def test_a_long_text_costs_no_more_memory_than_a_few_copies(self, piece: str) -> None:
        """Regression: the matcher remembered every character of a string, 100 bytes for each."""
        payload = b'"' + piece.encode() * (500_000 // len(piece)) + b'"'
        raw = b'{"id":"1","name":"n","payload":' + payload + b',"timestamp":1.5}'
        tracemalloc.start()
        try:
            after = codec.replace_members(raw, {"attempt": 2})
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert payload in after
        assert peak_bytes < 8 * len(raw)
