"""Registering handlers."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from asyncq.core.errors import ConfigurationError, DuplicateTaskError, Retry, Snooze, UnknownTaskError
from asyncq.core.registry import Registry
from asyncq.core.retry import RetryPolicy
from asyncq.core.task import Handler, Task


async def double(payload: int) -> int:
    return payload * 2


async def other(payload: int, attempt: object) -> object:
    return attempt


def test_a_registered_task_can_be_awaited_with_its_payload() -> None:
    registry = Registry()
    task = registry.task("double")(double)

    assert 42 == asyncio.run(registry["double"](21))
    assert task is registry["double"]
    assert ("double", True, False) == (task.name, task.is_async, task.wants_attempt)


def test_a_bare_function_may_be_assigned() -> None:
    registry = Registry()
    registry["double"] = double  # type: ignore[assignment]

    assert 4 == asyncio.run(registry["double"](2))
    assert isinstance(registry.get("double"), Task)


def test_a_def_handler_runs_in_a_thread_when_awaited() -> None:
    def where(payload: object) -> int:
        return threading.get_ident()

    assert threading.get_ident() != asyncio.run(Task("where", where)(None))


def test_what_a_def_handler_returns_is_awaited_when_it_can_be() -> None:
    @functools.wraps(double)
    def wrapped(payload: int) -> Any:
        return double(payload)

    assert 42 == asyncio.run(Task("wrapped", wrapped)(21))


def test_a_handler_that_yields_is_refused() -> None:
    def steps(payload: object) -> Iterator[int]:
        yield 1

    async def async_steps(payload: object) -> AsyncIterator[int]:
        yield 1

    for handler in (steps, async_steps):
        with pytest.raises(ConfigurationError, match="'steps': expected a function that returns, found one that yield"):
            Task("steps", handler)


async def first(attempt: object) -> object:
    return attempt


async def by_keyword(payload: object, *, attempt: object = None) -> object:
    return attempt


async def any_keyword(payload: object, **attempt: object) -> object:
    return attempt


async def third(payload: object, more: object = None, attempt: object = None) -> object:
    return attempt


class Handlers:
    async def method(self, payload: object, attempt: object) -> object:
        return attempt

    async def __call__(self, payload: object) -> object:
        return payload


class PlainHandler:
    def __call__(self, payload: object, attempt: object) -> object:
        return attempt


@pytest.mark.parametrize(
    ("expected", "handler"),
    [
        (True, other),
        (True, Handlers().method),
        (True, PlainHandler()),
        (True, functools.partial(third, "filled in already")),
        (False, double),
        (False, first),
        (False, by_keyword),
        (False, any_keyword),
        (False, third),
        (False, Handlers()),
        (False, dict),  # has no signature
    ],
)
def test_only_a_second_parameter_named_attempt_is_noticed(expected: bool, handler: Handler) -> None:
    assert expected == Task("other", handler).wants_attempt


@pytest.mark.parametrize(
    ("expected", "handler"),
    [
        (True, double),
        (True, Handlers()),
        (True, Handlers().method),
        (True, functools.partial(other, attempt=1)),
        (False, PlainHandler()),
        (False, print),
    ],
)
def test_only_what_is_no_coroutine_function_goes_to_a_thread(expected: bool, handler: Handler) -> None:
    assert expected == Task("x", handler).is_async


def test_an_object_may_be_a_handler() -> None:
    async def run() -> tuple[object, object]:
        return await Task("async", Handlers())(21), await Task("def", PlainHandler())(None, 1)

    assert (21, 1) == asyncio.run(run())


def test_two_handlers_cannot_share_a_name() -> None:
    registry = Registry()
    registry.task("x")(double)
    registry.task("x")(double)  # the same one again: a module imported twice

    with pytest.raises(DuplicateTaskError, match="'x' is registered twice"):
        registry.task("x")(other)


def test_an_unknown_name_says_so() -> None:
    with pytest.raises(UnknownTaskError, match="no task named 'nope' is registered"):
        Registry()["nope"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"retries": 3}, "unknown option 'retries'; the options are queue, max_attempts"),
        ({"max_attempts": 0}, "max_attempts: expected a whole number, 1 or more, found 0"),
        ({"max_attempts": 2.5}, "max_attempts: expected a whole number, 1 or more, found 2.5"),
        ({"max_attempts": True}, "max_attempts: expected a whole number, 1 or more, found True"),
        ({"timeout_s": -1}, "timeout_s: expected 0 or more seconds, found -1"),
        ({"timeout_s": "5"}, "timeout_s: expected 0 or more seconds, found '5'"),
        ({"timeout_s": None}, "timeout_s: expected 0 or more seconds, found None"),
        ({"timeout_s": float("nan")}, "timeout_s: expected 0 or more seconds, found nan"),
        ({"timeout_s": 10**400}, "timeout_s: expected 0 or more seconds, found 1000"),
        ({"retry": 3}, "retry: expected a RetryPolicy, found 3"),
        ({"queue": 5}, "queue: expected 1 to 128 .* found 5"),
        ({"queue": ""}, "queue name '': expected 1 to 128"),
        ({"queue": "a{b"}, "queue name 'a{b': expected"),
    ],
)
def test_a_wrong_option_is_refused_at_registration(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Registry().task("x", **options)


@pytest.mark.parametrize("name", [double, None, "", "n" * 257])
def test_a_name_is_required_at_the_decoration(name: Any) -> None:
    """`@task` without parentheses hands the handler over as the name, and nobody would call what comes back."""
    with pytest.raises(ConfigurationError, match=r'expected a name of 1 to 256 characters as in @task\("send_email"\)'):
        Registry().task(name)


@pytest.mark.parametrize("wrong", [{"base_s": "1"}, {"base_s": -1}, {"cap_s": None}, {"cap_s": float("nan")}])
def test_a_retry_policy_is_made_of_seconds(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="expected base_s and cap_s from 0 seconds, found"):
        RetryPolicy(**wrong)


@pytest.mark.parametrize("wrong", [timedelta(seconds=5), "5", True, float("nan"), float("inf"), 10**400])
@pytest.mark.parametrize("control", [Retry, Snooze])
def test_a_delay_is_a_number_of_seconds(control: Any, wrong: object) -> None:
    with pytest.raises(TypeError, match=rf"^{control.__name__}: expected delay_s in seconds as a number, found "):
        control(wrong)


def test_queues_are_those_of_the_tasks_in_order() -> None:
    registry = Registry()
    assert ["task_queue"] == registry.queues()
    registry.task("a", queue="mail")(double)
    registry.task("b")(other)
    registry.task("c", queue="mail")(other)

    assert ["mail", "task_queue"] == registry.queues()
