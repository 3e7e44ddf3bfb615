"""The wire format: what is a message, what is not, and what a retry leaves untouched."""

import contextlib
import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq.core import codec
from asyncq.core.errors import ConfigurationError, MessageDecodeError, MessageTooLargeError

GOOD = {"id": "1", "name": "send", "payload": {"a": 1}, "timestamp": 1732300000.123}


def raw(**changes: object) -> bytes:
    return json.dumps({key: value for key, value in {**GOOD, **changes}.items() if value is not ...}).encode()


def test_the_four_fields_are_read() -> None:
    message = codec.decode(raw())

    assert ("1", "send", {"a": 1}, 1732300000.123) == (message.id, message.name, message.payload, message.timestamp)
    assert (1, None, None, []) == (message.attempt, message.max_attempts, message.timeout_s, message.errors)


def test_unknown_fields_are_kept() -> None:
    assert "x" == codec.decode(raw(colour="x")).fields["colour"]


def test_a_whole_number_is_a_timestamp() -> None:
    assert 5 == codec.decode(raw(timestamp=5)).timestamp


@pytest.mark.parametrize("more", [{}, {"colour": "x"}])
def test_the_longest_id_and_name_are_read(more: dict[str, object]) -> None:
    message = codec.decode(raw(id="i" * 256, name="n" * 256, **more))

    assert (256, 256) == (len(message.id), len(message.name))


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"id": NaN}', "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"[]", "expected a JSON object, found list"),
        (b"null", "expected a JSON object, found NoneType"),
        (b'"text"', "expected a JSON object, found str"),
        (raw(id=...), "'id' is missing"),
        (raw(name=...), "'name' is missing"),
        (raw(payload=...), "'payload' is missing"),
        (raw(timestamp=...), "'timestamp' is missing"),
        (raw(id=7), "'id' must be a text"),
        (raw(id=""), "'id' must be a text"),
        (raw(id="i" * 257), "'id' must be a text of 1 to 256 characters"),
        (raw(id="i" * 257, colour="x"), "'id' must be a text"),
        (raw(name="n" * 257), "'name' must be a text"),
        (raw(timestamp="now"), "'timestamp' must be a number"),
        (raw(timestamp=True), "'timestamp' must be a number"),
        (raw(timestamp=None), "'timestamp' must be a number"),
        (raw(attempt=0), "'attempt' must be a whole number"),
        (raw(attempt=1.5), "'attempt' must be a whole number"),
        (raw(attempt=True), "'attempt' must be a whole number"),
        (raw(max_attempts="3"), "'max_attempts' must be a whole number"),
        (raw(max_attempts=0), "'max_attempts' must be a whole number"),
        (raw(timeout=-1), "'timeout' must be a number of seconds"),
        (raw(timeout="5"), "'timeout' must be a number of seconds"),
        (raw(timeout=True), "'timeout' must be a number of seconds"),
        (raw(expires_at=[]), "'expires_at' must be"),
        (raw(expires_at=True), "'expires_at' must be"),
        (raw(parked_since="today"), "'parked_since' must be a number of seconds since the epoch"),
        (raw(errors={}), "'errors' must be a list"),
        (raw(headers=[]), "'headers' must be an object"),
    ],
)
def test_what_is_no_message_is_refused_with_one_sentence(bad: bytes, sentence: str) -> None:
    with pytest.raises(MessageDecodeError, match=sentence):
        codec.decode(bad)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(MessageDecodeError):
        codec.decode(data)


def test_a_payload_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be written as JSON"):
        codec.encode({**GOOD, "payload": {"x": object()}})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": ""}, "'name' must be a text of 1 to 256 characters"),
        ({"name": "n" * 257}, "'name' must be a text"),
        ({"id": 7}, "'id' must be a text"),
        ({"payload": ...}, "'payload' is missing"),
        ({"timestamp": float("nan")}, "'timestamp' must be a number"),
        ({"timestamp": float("inf")}, "'timestamp' must be a number"),
        ({"expires_at": float("inf")}, "'expires_at' must be a number"),
        ({"timestamp": 10**400}, "'timestamp' must be a number"),
        ({"timeout": -1}, "'timeout' must be a number of seconds"),
        ({"attempt": True}, "'attempt' must be a whole number"),
    ],
)
def test_a_producer_is_refused_what_a_worker_would_refuse(changes: dict[str, object], sentence: str) -> None:
    fields = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
    with pytest.raises(ConfigurationError, match=f"this is no message: .*{sentence}"):
        codec.encode(fields)


def test_no_mapping_is_no_message() -> None:
    with pytest.raises(ConfigurationError, match="this is no message: expected a JSON object, found str"):
        codec.encode("send_email")  # type: ignore[arg-type]


def test_any_mapping_is_written() -> None:
    assert codec.encode(GOOD) == codec.encode(MappingProxyType(GOOD))


def test_an_integer_that_would_arrive_as_a_float_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"an integer beyond 64 bits, .* send it as text"):
        codec.encode({**GOOD, "payload": [2**64]})


def test_a_message_above_the_limit_is_refused_with_both_numbers() -> None:
    with pytest.raises(MessageTooLargeError, match="the limit is 100") as caught:
        codec.encode({**GOOD, "payload": "x" * 100}, limit_bytes=100)

    assert caught.value.size_bytes > 100


def test_a_message_of_exactly_the_limit_is_written() -> None:
    size_bytes = len(codec.encode(GOOD))

    assert size_bytes == len(codec.encode(GOOD, limit_bytes=size_bytes))
    with pytest.raises(MessageTooLargeError, match=f"has {size_bytes} bytes, the limit is {size_bytes - 1};"):
        codec.encode(GOOD, limit_bytes=size_bytes - 1)


def test_the_limit_is_one_mib_unless_said_otherwise() -> None:
    overhead_bytes = len(codec.encode({**GOOD, "payload": ""}))

    assert 1024 * 1024 == len(codec.encode({**GOOD, "payload": "x" * (1024 * 1024 - overhead_bytes)}))
    with pytest.raises(MessageTooLargeError, match="the limit is 1048576"):
        codec.encode({**GOOD, "payload": "x" * (1024 * 1024 - overhead_bytes + 1)})


class TestReplaceMembers:
    def test_the_payload_is_carried_over_byte_for_byte(self) -> None:
        payload = b'{"big": 123456789012345678901234567890,  "e": 1.10e2, "u": "\\u00e9\\\\\\"}", "l": [1, {"a": ","}]}'
        before = b'{ "id":"1", "name" : "n","payload": ' + payload + b' ,"timestamp": 1.50, "mine": [ 1 ] }'

        after = codec.replace_members(before, {"attempt": 2})

        assert payload in after
        assert b'"timestamp":1.50' in after
        assert b'"mine":[ 1 ]' in after
        assert 2 == codec.decode(after).attempt

    def test_an_existing_member_is_replaced_once(self) -> None:
        after = codec.replace_members(raw(attempt=1), {"attempt": 2})

        assert 1 == after.count(b'"attempt"')
        assert 2 == codec.decode(after).attempt

    def test_an_escaped_key_is_the_same_member(self) -> None:
        before = b'{"id":"1","name":"n","payload":0,"timestamp":1.0,"\\u0061ttempt":1}'

        after = codec.replace_members(before, {"attempt": 2})

        assert (2, 1) == (codec.decode(after).attempt, after.count(b"ttempt"))

    def test_none_removes_a_member(self) -> None:
        assert (
            "parked_since"
            not in codec.decode(codec.replace_members(raw(parked_since=1.0), {"parked_since": None})).fields
        )

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=10,
        ),
        st.booleans(),
    )
    def test_every_other_member_survives(self, payload: object, spaced: bool) -> None:
        fields = {**GOOD, "payload": payload, "extra": payload}
        before = json.dumps(fields, indent=1 if spaced else None).encode()

        after = codec.decode(codec.replace_members(before, {"attempt": 2, "errors": [{"x": "}"}]}))

        assert {**fields, "attempt": 2, "errors": [{"x": "}"}]} == dict(after.fields)
