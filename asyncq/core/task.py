"""Task and Registry: which handler runs a message of a given name, and the `@task` decorator.

Filled when the app module is imported, read by the executor. Registering has no other effect: no I/O, no loop.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from asyncq.core.errors import ConfigurationError, DuplicateTaskError, UnknownTaskError
from asyncq.core.message import MAX_NAME_CHARS
from asyncq.core.options import TaskOptions

DEFAULT_QUEUE: Final = "task_queue"

Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a handler with a second parameter named `attempt` is told about its run.

    Attributes:
        id: The message's id.
        name: The task's name.
        queue: Where the message came from.
        number: Counted from 1.
        max_attempts: The last one's number.
    """

    id: str
    name: str
    queue: str
    number: int
    max_attempts: int


class Task:
    """A registered name, its handler and its options; awaiting `task(payload)` runs the handler here and now.

    Attributes:
        name: What a message calls it.
        handler: The user's function.
        options: See TaskOptions.
        is_async: False for a `def` handler, which a worker runs in a thread; what it returns is awaited if it can be.
        wants_attempt: True if the handler has a second parameter called `attempt`.
    """

    __slots__ = ("__dict__", "__name__", "__wrapped__", "handler", "is_async", "name", "options", "wants_attempt")

    def __init__(self, name: str, handler: Handler, options: TaskOptions | None = None) -> None:
        _check_name(name)
        if not callable(handler):
            raise ConfigurationError(f"task {name!r}: expected a function, found {type(handler).__name__}")
        if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
            raise ConfigurationError(f"task {name!r}: expected a function that returns, found one that yields")
        self.name = name
        self.handler = handler
        self.options = options or TaskOptions()
        self.is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 - an object with an async __call__ is a handler too
        )
        self.wants_attempt = _wants_attempt(handler)
        self.__name__ = getattr(handler, "__name__", name)
        self.__doc__ = getattr(handler, "__doc__", None)
        self.__wrapped__ = handler

    @property
    def queue(self) -> str:
        """The queue its messages go to when the producer names none."""
        return self.options.queue or DEFAULT_QUEUE

    async def __call__(self, payload: Any, *args: Any) -> Any:
        """Run the handler with this payload, a `def` handler in a thread. No retry, no Redis."""
        if self.is_async:
            return await self.handler(payload, *args)
        result = await asyncio.to_thread(self.handler, payload, *args)
        return await result if inspect.isawaitable(result) else result

    def __repr__(self) -> str:
        return f"<Task {self.name!r} {_where(self.handler)}>"


def _wants_attempt(handler: Handler) -> bool:
    try:
        second = list(inspect.signature(handler).parameters.values())[1:2]
    except (TypeError, ValueError):  # builtins without a signature
        return False
    return any(it.name == "attempt" and it.kind in (it.POSITIONAL_ONLY, it.POSITIONAL_OR_KEYWORD) for it in second)


def _where(handler: Handler) -> str:
    return f"{getattr(handler, '__module__', '?')}.{getattr(handler, '__qualname__', repr(handler))}"


class Registry(MutableMapping[str, Task]):
    """Task name to Task. A bare function may be assigned: `registry["name"] = handler`."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}

    def task(self, name: str, **options: Any) -> Callable[[Handler], Task]:
        """Decorator: register a handler under `name`.

        Args:
            name: What messages call it.
            **options: Fields of TaskOptions.

        Raises:
            ConfigurationError: no name, an unknown or wrong option.
            DuplicateTaskError: another handler already has this name.
        """
        _check_name(name)
        checked = _checked_options(name, options)

        def register(handler: Handler) -> Task:
            new = Task(name, handler, checked)
            old = self._tasks.get(name)
            if old is not None and _where(old.handler) != _where(handler):
                raise DuplicateTaskError(name, _where(old.handler), _where(handler))
            self._tasks[name] = new
            return new

        return register

    def queues(self) -> list[str]:
        """The queues of the registered tasks, in order of registration; `task_queue` if there is none."""
        return list(dict.fromkeys(task.queue for task in self._tasks.values())) or [DEFAULT_QUEUE]

    def lookup(self) -> Callable[[str], Task | None]:
        """The fastest way to ask for a task again and again (a bound dict method)."""
        return self._tasks.get

    def __getitem__(self, name: str) -> Task:
        try:
            return self._tasks[name]
        except KeyError:
            raise UnknownTaskError(name) from None

    def __setitem__(self, name: str, handler: Task | Handler) -> None:
        self._tasks[name] = handler if isinstance(handler, Task) else Task(name, handler)

    def __delitem__(self, name: str) -> None:
        del self._tasks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS:
        raise ConfigurationError(
            f'@task: expected a name of 1 to {MAX_NAME_CHARS} characters as in @task("send_email"), found {name!r}'
        )


def _checked_options(name: str, options: dict[str, Any]) -> TaskOptions:
    unknown = set(options) - set(TaskOptions.__dataclass_fields__)
    if unknown:
        raise ConfigurationError(
            f"task {name!r}: unknown option {sorted(unknown)[0]!r}; "
            f"the options are {', '.join(TaskOptions.__dataclass_fields__)}"
        )
    return TaskOptions(**options)


default_registry: Final = Registry()
task = default_registry.task
