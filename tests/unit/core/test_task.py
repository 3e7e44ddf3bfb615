"""Registering handlers."""

import asyncio
import threading

import pytest

from asyncq.core.errors import ConfigurationError, DuplicateTaskError, UnknownTaskError
from asyncq.core.task import Registry, Task


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


def test_a_second_parameter_named_attempt_is_noticed() -> None:
    assert Task("other", other).wants_attempt


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
        ({"max_attempts": 0}, "max_attempts: expected 1 or more, found 0"),
        ({"timeout_s": -1}, "timeout_s: expected 0 or more seconds, found -1"),
        ({"queue": ""}, "queue name '': expected 1 to 128"),
        ({"queue": "a{b"}, "queue name 'a{b': expected"),
    ],
)
def test_a_wrong_option_is_refused_at_registration(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Registry().task("x", **options)


def test_a_name_is_required() -> None:
    with pytest.raises(ConfigurationError, match="expected a name"):
        Registry().task(double)(double)  # type: ignore[arg-type]


def test_queues_are_those_of_the_tasks_in_order() -> None:
    registry = Registry()
    assert ["task_queue"] == registry.queues()
    registry.task("a", queue="mail")(double)
    registry.task("b")(other)
    registry.task("c", queue="mail")(other)

    assert ["mail", "task_queue"] == registry.queues()
