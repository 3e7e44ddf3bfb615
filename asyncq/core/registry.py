"""Registry: task name to Task, the `@task` decorator that fills it, and the hooks of the same app.

Filled when the app module is imported, read by the executor and by commands. Registering has no other effect.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from typing import Any, Final, Protocol, TypeVar, Unpack, overload

from asyncq.core.errors import DuplicateTaskError, UnknownTaskError
from asyncq.core.hooks import Hooks
from asyncq.core.options import TaskOptions, TaskOptionsIn, refuse_unknown
from asyncq.core.task import DEFAULT_QUEUE, Attempt, Handler, Task, check_name, place_of

Payload = TypeVar("Payload")
Result = TypeVar("Result")


class Decorator(Protocol):
    """What `@task("name")` is to a type checker: the handler's payload and result become the Task's."""

    @overload
    def __call__(self, handler: Callable[[Payload], Coroutine[Any, Any, Result]], /) -> Task[Payload, Result]: ...
    @overload
    def __call__(
        self, handler: Callable[[Payload, Attempt], Coroutine[Any, Any, Result]], /
    ) -> Task[Payload, Result]: ...
    @overload
    def __call__(self, handler: Callable[[Payload], Result], /) -> Task[Payload, Result]: ...
    @overload
    def __call__(self, handler: Callable[[Payload, Attempt], Result], /) -> Task[Payload, Result]: ...


class Registry(MutableMapping[str, Task[Any, Any]]):
    """Task name to Task. A bare function may be assigned: `registry["name"] = handler`.

    Besides the default one (`asyncq.task` fills it) there may be others: a worker runs the one that `--app
    MODULE:NAME` names, or that `start_workers` is given.

    Attributes:
        hooks: What its worker processes call when they load, start and stop; `asyncq.hooks` for the default registry.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, Task[Any, Any]] = {}
        self.hooks: Hooks = Hooks()

    def task(self, name: str, **options: Unpack[TaskOptionsIn]) -> Decorator:
        """Decorator: register a handler, `async def` or `def`, under `name`.

        Args:
            name: What messages call it.
            **options: Fields of TaskOptions.

        Raises:
            ConfigurationError: no name, an unknown or wrong option.
            DuplicateTaskError: another handler already has this name.
        """
        check_name(name)
        refuse_unknown(f"task {name!r}", options, TaskOptions)
        checked = TaskOptions(**options)

        def register(handler: Handler) -> Task[Any, Any]:
            new: Task[Any, Any] = Task(name, handler, checked)
            old = self._tasks.get(name)
            if old is not None and place_of(old.handler) != place_of(handler):
                raise DuplicateTaskError(name, place_of(old.handler), place_of(handler))
            self._tasks[name] = new
            return new

        return register

    def queues(self) -> list[str]:
        """The queues of the registered tasks, in order of registration; `task_queue` if there is none."""
        return list(dict.fromkeys(task.queue for task in self._tasks.values())) or [DEFAULT_QUEUE]

    def check(self) -> None:
        """Look at every annotation before the first message does.

        Raises:
            ConfigurationError: a payload's type cannot be checked.
        """
        for task in self._tasks.values():
            task.check()

    def lookup(self) -> Callable[[str], Task[Any, Any] | None]:
        """The fastest way to ask for a task again and again (a bound dict method)."""
        return self._tasks.get

    def __getitem__(self, name: str) -> Task[Any, Any]:
        try:
            return self._tasks[name]
        except KeyError:
            raise UnknownTaskError(name) from None

    def __setitem__(self, name: str, handler: Task[Any, Any] | Handler) -> None:
        self._tasks[name] = handler if isinstance(handler, Task) else Task(name, handler)

    def __delitem__(self, name: str) -> None:
        del self._tasks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)


hooks: Final = Hooks()
default_registry: Final = Registry()
default_registry.hooks = hooks


def task(name: str, **options: Unpack[TaskOptionsIn]) -> Decorator:
    """Decorator: register a handler, `async def` or `def`, in the default registry; see `Registry.task`.

    For example `@task("send_welcome_email", max_attempts=5)`.

    Raises:
        ConfigurationError: no name, an unknown or wrong option.
        DuplicateTaskError: another handler already has this name.
    """
    return default_registry.task(name, **options)
