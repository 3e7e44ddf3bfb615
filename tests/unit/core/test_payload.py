"""Payloads against annotations, and objects as JSON."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, NotRequired, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from asyncq.core import codec
from asyncq.core.envelope import create_task
from asyncq.core.errors import ConfigurationError, PayloadError
from asyncq.core.payload import plain, reader_of

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers

T = TypeVar("T")


class Plan(enum.Enum):
    FREE = "free"
    TEAM = "team"


@dataclasses.dataclass
class Place:
    city: str
    zip_code: int | None = None


@dataclasses.dataclass
class Event:
    email: str
    at: datetime.datetime
    plan: Plan = Plan.FREE
    places: list[Place] = dataclasses.field(default_factory=list)
    prices: dict[str, decimal.Decimal] = dataclasses.field(default_factory=dict)


class Row(TypedDict):
    email: str
    plan: NotRequired[Literal["free", "team"]]


class Order(msgspec.Struct):
    order_id: uuid.UUID
    lines: list[Place]
    raw: bytes = b""
    tags: set[str] = msgspec.field(default_factory=set)


class User(pydantic.BaseModel):
    email: str
    born: datetime.date = pydantic.Field(alias="bornOn")
    nested: Place | None = None


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    user_id: uuid.UUID
    at: datetime.datetime


@dataclasses.dataclass
class Mixed:
    user: User


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


@dataclasses.dataclass
class Positive:
    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError("must not be negative")
        if self.value == 13:
            raise KeyError("a bug in the model")


AT = datetime.datetime(2025, 3, 3, 8, 15, tzinfo=datetime.UTC)
GOOD: list[Any] = [
    Event("a@b.c", AT),
    Event("a@b.c", AT, Plan.TEAM, [Place("Paris", 75001), Place("Rome")], {"a": decimal.Decimal("1.50")}),
    Order(uuid.UUID(int=7), [Place("Oslo")], b"\x00\xff", {"x"}),
    User(email="a@b.c", bornOn=datetime.date(2000, 2, 29), nested=Place("Bern")),
    Strict(user_id=uuid.UUID(int=1), at=AT),
    Mixed(User(email="a@b.c", bornOn=datetime.date(2000, 2, 29))),
]


def read(annotation: Any, payload: Any) -> Any:
    """As a worker would: `annotation` is the handler's, `payload` has been JSON."""

    async def handler(payload: Any) -> None: ...

    handler.__annotations__["payload"] = annotation
    reader = reader_of(handler, "x")
    assert reader is not None
    return reader(payload)


@pytest.mark.parametrize("value", GOOD, ids=lambda value: type(value).__name__)
def test_what_a_producer_writes_a_handler_reads_back(value: Any) -> None:
    raw = codec.encode(create_task("x", value))

    assert value == read(type(value), codec.decode(raw).payload)


def test_models_are_found_at_any_depth() -> None:
    row = {"email": "a", "plan": "team"}

    assert row == read(Row, row)
    assert [Place("Rome")] == read(list[Place], [{"city": "Rome"}])
    assert {"x": Place("Rome")} == read(Mapping[str, Place], {"x": {"city": "Rome"}})
    assert {7: Place("Rome")} == read(dict[int, Place], {"7": {"city": "Rome"}})
    assert None is read(Place | None, None)
    assert Box(Place("Rome")) == read(Box[Place], {"content": {"city": "Rome"}})
    assert [User(email="a", bornOn="2000-01-01")] == read(list[User], [{"email": "a", "bornOn": "2000-01-01"}])


class Nested(TypedDict):
    rows: list[Row]
    by_name: dict[str, Row]
    first: Row | None


class Dated(TypedDict):
    at: datetime.datetime


@pytest.mark.parametrize("annotation", [Row, Nested, list[Row], dict[str, Row], Row | None, Mapping[str, list[Row]]])
def test_typed_dicts_of_jsons_own_types_are_the_payload_itself(annotation: Any) -> None:
    row = {"email": "a", "newer": 1}
    nested = {"rows": [row], "by_name": {"x": row}, "first": None, "newer": {}}
    payloads = {Row: row, Nested: nested, list[Row]: [row], dict[str, Row]: {"x": row}, Row | None: row}
    payload = payloads.get(annotation, {"x": [row]})

    assert payload is read(annotation, payload)


def test_typed_dicts_of_other_types_are_made_anew_without_what_they_do_not_name() -> None:
    assert {"at": AT} == read(Dated, {"at": "2025-03-03T08:15:00Z", "newer": 1})
    assert {7: {"email": "a"}} == read(dict[int, Row], {"7": {"email": "a", "newer": 1}})
    assert Place("Rome") == read(Place, {"city": "Rome", "newer": 1})


@pytest.mark.parametrize(
    ("annotation", "payload", "sentence"),
    [
        (Place, {"city": 5}, r"the payload does not fit Place: Expected `str`, got `int` - at `\$.city`"),
        (Place, {}, "does not fit Place: Object missing required field `city`"),
        (Place, "Rome", "does not fit Place: Expected `object`, got `str`"),
        (Place, None, "does not fit Place: Expected `object`, got `null`"),
        (Place, {"city": "Rome", "zip_code": "1"}, r"Expected `int \| null`, got `str` - at `\$.zip_code`"),
        (Row, {"plan": "free"}, "does not fit Row: Object missing required field `email`"),
        (Row, {"email": "a", "plan": "gold"}, r"does not fit Row: Invalid enum value 'gold' - at `\$.plan`"),
        (Order, {"order_id": "7", "lines": []}, r"does not fit Order: Invalid UUID - at `\$.order_id`"),
        (
            list[Place],
            [{"city": "Rome"}, 1],
            r"does not fit list\[.*Place\]: Expected `object`, got `int` - at `\$\[1\]`",
        ),
        (Positive, {"value": -1}, "does not fit Positive: must not be negative"),
        (User, {}, "does not fit User: email: Field required; bornOn: Field required"),
        (Mixed, {"user": {"email": 1, "bornOn": "soon"}}, "does not fit Mixed: user.email: Input should be a valid s"),
        (Strict, {"user_id": 5, "at": "2025-03-03T08:15:00Z"}, "does not fit Strict: user_id: UUID input should be"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(annotation: Any, payload: Any, sentence: str) -> None:
    with pytest.raises(PayloadError, match=sentence) as caught:
        read(annotation, payload)
    assert "\n" not in str(caught.value)


def test_values_of_a_refused_payload_stay_out_of_pydantics_sentence() -> None:
    with pytest.raises(PayloadError) as caught:
        read(list[User], [{"email": ["hunter2"], "bornOn": f"hunter2 {number}"} for number in range(9)])

    assert "hunter2" not in str(caught.value)
    assert str(caught.value).endswith(" and 15 more")


def test_a_models_own_mistake_is_not_the_payloads() -> None:
    with pytest.raises(KeyError, match="a bug in the model"):
        read(Positive, {"value": 13})


def nothing() -> None: ...


def bare(payload): ...  # type: ignore[no-untyped-def]


def untyped(payload: Any) -> None: ...


def mapping(payload: dict[str, Any]) -> None: ...


def number(payload: int) -> None: ...


def unions(payload: str | list[int] | None) -> None: ...


@pytest.mark.parametrize("handler", [nothing, bare, untyped, mapping, number, unions, print, dict])
def test_a_payload_is_handed_over_as_it_is_when_no_model_is_named(handler: Callable[..., Any]) -> None:
    assert None is reader_of(handler, "x")


def handle(payload: Event) -> None: ...


class Handlers:
    def method(self, payload: Event) -> None: ...

    def __call__(self, payload: Event) -> None: ...


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def second(first: int, payload: Event) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [
        handle,
        Handlers().method,
        Handlers(),
        decorated(handle),
        decorated(decorated(Handlers().method)),
        functools.partial(second, 1),
        functools.partial(decorated(second), 1),
    ],
)
def test_the_annotation_is_found_behind_whatever_wraps_the_handler(handler: Callable[..., Any]) -> None:
    reader = reader_of(handler, "x")

    assert reader is not None
    assert Event("a", AT) == reader({"email": "a", "at": "2025-03-03T08:15:00Z"})


def later(payload: DefinedLater) -> None: ...


@dataclasses.dataclass
class DefinedLater:
    children: list[DefinedLater]


def test_a_type_may_be_defined_after_its_handler_and_hold_itself() -> None:
    reader = reader_of(later, "x")

    assert reader is not None
    assert DefinedLater([DefinedLater([])]) == reader({"children": [{"children": []}]})


def unknown(payload: OnlyForCheckers) -> None: ...


@dataclasses.dataclass
class Broken:
    field: OnlyForCheckers


def broken(payload: Broken) -> None: ...


def two_models(payload: Place | Event) -> None: ...


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [
        (
            unknown,
            "task 'x': the payload's type 'OnlyForCheckers' cannot be checked: NameError: name 'OnlyForCheckers'",
        ),
        (broken, "task 'x': the payload's type <class '.*Broken'> cannot be checked: NameError"),
        (
            two_models,
            "task 'x': the payload's type .*Place | .*Event cannot be checked: TypeError: Type unions may not",
        ),
    ],
)
def test_a_type_that_cannot_be_checked_is_refused(handler: Callable[..., Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        reader_of(handler, "x")


@pytest.mark.parametrize("value", [object(), lambda: 1, Handlers(), {"deep": [object()]}])
def test_what_has_no_form_in_json_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="the payload cannot be written as JSON"):
        codec.encode(create_task("x", value))


def test_a_pydantic_model_is_found_inside_a_struct() -> None:
    class Holder(msgspec.Struct):
        user: Any

    assert {"user": {"email": "a", "bornOn": "2000-01-01", "nested": None}} == plain(
        Holder(User(email="a", bornOn=datetime.date(2000, 1, 1)))
    )


def test_msgspec_and_pydantic_are_loaded_only_by_those_who_use_them() -> None:
    program = """
import json, sys
from asyncq import create_task, task
from asyncq.core import codec

@task("plain")
async def plain(payload: dict) -> None: ...

plain.check()
assert plain.read is None
codec.encode(create_task("plain", {"a": 1}))
print(json.dumps(sorted({"msgspec", "pydantic"} & set(sys.modules))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert [] == json.loads(done.stdout)
