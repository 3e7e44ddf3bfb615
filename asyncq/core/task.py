"""Task: a name, the handler that runs its messages, and how its messages are enqueued.

Made by a Registry when the app module is imported, read by the executor, called by whoever wants work done. Making one
has no effect: no I/O, no loop.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, Self, TypeVar, Unpack

from asyncq.core import outbox
from asyncq.core.envelope import Envelope, Handle, Using, UsingOptions
from asyncq.core.errors import ConfigurationError, shown
from asyncq.core.message import MAX_NAME_CHARS
from asyncq.core.options import TaskOptions, refuse_unknown
from asyncq.core.payload import Read, reader_of

DEFAULT_QUEUE: Final = "task_queue"

Handler = Callable[..., Any]

Payload = TypeVar("Payload")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a handler with a second parameter named `attempt` is told about its run.

    Attributes:
        id: The message's id.
        name: The task's name.
        queue: Where the message came from.
        number: Counted from 1.
        max_attempts: The last one's number, if the task's `retry_by_error` has no other for what it fails with.
    """

    id: str
    name: str
    queue: str
    number: int
    max_attempts: int


class Task(Generic[Payload, Result]):
    """A registered name, its handler and its options.

    Awaiting `task(payload)` runs the handler here and now; `await task.enqueue(payload)` puts a message on the task's
    queue, in the Redis of this process (see `asyncq.simple.use_redis`).

    Attributes:
        name: What a message calls it.
        handler: The user's function.
        options: See TaskOptions.
        is_async: False for a `def` handler, which a worker runs in a thread; what it returns is awaited if it can be.
        wants_attempt: True if the handler has a second parameter called `attempt`.
        read: Makes the handler's argument of a decoded payload, or raises PayloadError; None when the payload is handed
            over as it is. Found out by `check`, or by the first payload.
    """

    __slots__ = (
        "__dict__",
        "__name__",
        "__wrapped__",
        "_using",
        "handler",
        "is_async",
        "name",
        "options",
        "read",
        "wants_attempt",
    )  # read for every message

    def __init__(self, name: str, handler: Handler, options: TaskOptions | None = None) -> None:
        check_name(name)
        if not callable(handler):
            raise ConfigurationError(f"task {name!r}: expected a function, found {type(handler).__name__}")
        if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
            raise ConfigurationError(f"task {name!r}: expected a function that returns, found one that yields")
        self.name: str = name
        self.handler: Handler = handler
        self.options: TaskOptions = options or TaskOptions()
        self.is_async: bool = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 - an object with an async __call__ is a handler too
        )
        self.wants_attempt: bool = _wants_attempt(handler)
        self.read: Read | None = self._read_first
        self._using = Using()
        self.__name__: str = getattr(handler, "__name__", name)
        self.__doc__: str | None = getattr(handler, "__doc__", None)
        self.__wrapped__: Handler = handler

    @property
    def queue(self) -> str:
        """Where its messages are put."""
        return self._using.queue or self.options.queue or DEFAULT_QUEUE

    def check(self) -> None:
        """Look at the handler's annotation; not at registration, because it may name a type that is defined later.

        Raises:
            ConfigurationError: the payload's type cannot be checked.
        """
        self.read = reader_of(self.handler, self.name)

    def _read_first(self, payload: Any) -> Any:
        self.check()
        return payload if self.read is None else self.read(payload)

    async def __call__(self, payload: Payload, *args: Any) -> Result:
        """Run the handler with this payload, a `def` handler in a thread. No validation, no retry, no Redis."""
        if self.is_async:
            return await self.handler(payload, *args)  # type: ignore[no-any-return] # what it was registered with
        result = await asyncio.to_thread(self.handler, payload, *args)
        return await result if inspect.isawaitable(result) else result  # type: ignore[no-any-return]

    def using(self, **options: Unpack[UsingOptions]) -> Self:
        """The same task with other options for what is enqueued through it; see `asyncq.core.envelope.Using`.

        For example `await send.using(delay_s=60, queue="bulk").enqueue(payload)`. The registered task stays as it is.

        Raises:
            ConfigurationError: an unknown or wrong option.
        """
        refuse_unknown(f"task {self.name!r}", options, Using)
        other = copy.copy(self)
        other._using = dataclasses.replace(self._using, **options)
        return other

    def envelope(self, payload: Payload) -> Envelope:
        """A new message of this task, to be enqueued by a client. No Redis call.

        Args:
            payload: What the handler gets: anything JSON can say, a dataclass, a msgspec Struct or a pydantic model.
        """
        return self._using.envelope(self.name, self.queue, payload)

    async def enqueue(self, payload: Payload) -> Handle:
        """Put one message on the queue. Works from many event loops in turn, and after a fork.

        Cost: 1 RPUSH; with `delay_s`, `eta` or `retry_safe` 1 script. Raises as `asyncq.client.client.Client.enqueue`.
        """
        return await outbox.enqueuer().enqueue(self.envelope(payload))

    async def enqueue_many(self, payloads: Iterable[Payload]) -> list[Handle]:
        """Put one message per payload on the queue, in order; each thousand is enqueued as a whole or not at all.

        Cost: 1 RPUSH per thousand. Raises as `asyncq.client.client.Client.enqueue_many`.
        """
        return await outbox.enqueuer().enqueue_many(map(self.envelope, payloads))

    def __repr__(self) -> str:
        return f"<Task {self.name!r} {place_of(self.handler)}>"


def check_name(name: object) -> None:
    """Refuse with a sentence what cannot be a task's name."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS:
        raise ConfigurationError(
            f'@task: expected a name of 1 to {MAX_NAME_CHARS} characters as in @task("send_email"), found {shown(name)}'
        )


def place_of(handler: Handler) -> str:
    """Where a handler is defined, for sentences: module and qualified name."""
    return f"{getattr(handler, '__module__', '?')}.{getattr(handler, '__qualname__', repr(handler))}"


def _wants_attempt(handler: Handler) -> bool:
    try:
        second = list(inspect.signature(handler).parameters.values())[1:2]
    except (TypeError, ValueError):  # builtins without a signature
        return False
    return any(it.name == "attempt" and it.kind in (it.POSITIONAL_ONLY, it.POSITIONAL_OR_KEYWORD) for it in second)
