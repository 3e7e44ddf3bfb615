"""Hooks: what an app asks to have called when a worker process loads, starts and stops, and after one has crashed.

Filled when the app module is imported, read by whoever starts a process (`cli.rooms`, `worker.hooking`). Registering
has no other effect.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self, TypeVar

from asyncq.core.errors import ConfigurationError, HookError, shown
from asyncq.core.task import place_of
from asyncq.core.where import where

MAX_ERROR_CHARS: Final = 500

Load = TypeVar("Load", bound=Callable[[], None])
Plain = TypeVar("Plain", bound=Callable[[], object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """What is known of a worker process that died without having been asked to.

    Attributes:
        index: The worker's number, from 0; the process that takes its place has the same.
        pid: Of the dead process.
        cause: How it ended, in words: "killed by SIGSEGV", "exit code 3".
        reason: "crash", it exited; "killed" by a signal, from outside or of its own doing; "hang", put down by the
            supervisor because its event loop stood still; "oom", by the kernel for its memory; "boot", it was never
            ready.
        task: Name of the task that ran as it died, as far as is known; "" if it is not.
        message_id: Of the message that the task ran for; "" if it is not known.
        stack: What it wrote of its stacks as it died; "" if it wrote nothing.
        last_lines: The last lines of its standard error, the newest last, as far as they were kept.
    """

    index: int
    pid: int
    cause: str
    reason: str
    task: str = ""
    message_id: str = ""
    stack: str = ""
    last_lines: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it."""
        return asdict(self) | {"last_lines": list(self.last_lines)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """What `to_json` said, also that of a version which says more.

        Raises:
            TypeError: a field without a default is missing.
        """
        known = {field.name: found[field.name] for field in fields(cls) if field.name in found}
        return cls(**known | {"last_lines": tuple(found.get("last_lines", ()))})


OnCrash = TypeVar("OnCrash", bound=Callable[[Crash], object])


@dataclass(frozen=True, slots=True)
class Hook:
    """One registered function.

    Attributes:
        name: Of the decorator.
        function: The user's.
    """

    name: str
    function: Callable[..., Any]

    def failure(self, error: BaseException) -> HookError:
        """One sentence: which hook, what it raised, and the user's line."""
        said = " ".join("".join(traceback.format_exception_only(error)).split())[:MAX_ERROR_CHARS]
        place = where(error)
        return HookError(f"{self} failed: {said}" + (f" ({place})" if place else ""))

    def __str__(self) -> str:
        return f"the {self.name} hook {place_of(self.function)}"


class Hooks:
    """What one Registry's app asks to have called; `asyncq.hooks` are those of the default registry.

    Each method is a decorator and gives the function back as it was. Functions of the same kind are called in the order
    of their registration, `on_worker_stop` in the reverse order.
    """

    def __init__(self) -> None:
        self._zygote_load: list[Hook] = []
        self._worker_start: list[Hook] = []
        self._worker_stop: list[Hook] = []
        self._crash: list[Hook] = []
        self._loaded = 0

    def on_zygote_load(self, hook: Load) -> Load:
        """Decorator: call `hook()` once after the app was imported, before the workers are forked.

        For what is big and only read: models, tables, caches. All workers share its memory. Without a zygote
        (`--no-preload`, `asyncq worker`, `start_workers`) it is called in each process, before the start hooks.

        Only `def`: there is no event loop, and none may have run in a process that is forked. Not for connections,
        threads or locks either: a fork copies a connection's socket, so that two processes read the same replies, and
        copies no thread, so that what a thread held stays held. Those belong into `on_worker_start`.

        If it raises, no worker starts: one sentence, and exit code 3.

        Raises:
            ConfigurationError: no function, one that yields, is `async def` or cannot be called without arguments.
        """
        checked = _checked("on_zygote_load", hook)
        if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(_call_of(hook)):
            raise ConfigurationError(
                f"{checked}: expected a plain `def`, found `async def`; it is called before the fork, where no event "
                "loop may run: what a loop made there would be shared by all workers; use on_worker_start"
            )
        self._zygote_load.append(checked)
        return hook

    def on_worker_start(self, hook: Plain) -> Plain:
        """Decorator: call `hook()`, `async def` or `def`, in each worker process before it takes a message.

        In the worker's event loop, after the fork: for connection pools, clients, tracers. A `def` hook runs in the
        loop, too, so it may use it; nothing else has to run yet. The process is ready when all have returned, and
        `--boot-timeout` counts until then. SIGTERM cancels a hook that takes long.

        If it raises, the worker does not start: one sentence, and exit code 3.

        Raises:
            ConfigurationError: no function, one that yields or cannot be called without arguments.
        """
        self._worker_start.append(_checked("on_worker_start", hook))
        return hook

    def on_worker_stop(self, hook: Plain) -> Plain:
        """Decorator: call `hook()`, `async def` or `def`, after the drain: nothing runs any more, nothing is taken.

        In the reverse order of registration and in the same asyncio task as `on_worker_start`, so that an `async with`
        entered there can be left here. Only if every start hook had returned. Each has 5 s, then it is cancelled, which
        a `def` hook cannot be. What it raises is logged and changes nothing else. Not called when the process is
        killed.

        Raises:
            ConfigurationError: no function, one that yields or cannot be called without arguments.
        """
        self._worker_stop.append(_checked("on_worker_stop", hook))
        return hook

    def on_crash(self, hook: OnCrash) -> OnCrash:
        """Decorator: call `hook(crash)`, `async def` or `def`, after a worker process has died; see `Crash`.

        In the process that takes the dead one's place, beside its work, once that is ready: for a ticket, a message to
        somebody. A `def` hook runs in the event loop, too, and must not block it. What it raises is logged. It is
        cancelled when the process has drained, and lost if that process dies as well.

        Raises:
            ConfigurationError: no function, one that yields or cannot be called with one argument.
        """
        self._crash.append(_checked("on_crash", hook, None))
        return hook

    def load(self) -> None:
        """Call what `on_zygote_load` registered, each once: not again in a process whose zygote has.

        Raises:
            HookError: one of them failed.
        """
        while self._loaded < len(self._zygote_load):
            hook = self._zygote_load[self._loaded]
            try:
                result = hook.function()
            except (Exception, SystemExit) as error:  # the fence around user code
                raise hook.failure(error) from error
            if inspect.isawaitable(result):
                raise HookError(
                    f"{hook} returned an awaitable, which nobody awaits before the fork: make it a plain `def`"
                )
            self._loaded += 1

    @property
    def worker_start(self) -> tuple[Hook, ...]:
        """In the order in which they are called."""
        return tuple(self._worker_start)

    @property
    def worker_stop(self) -> tuple[Hook, ...]:
        """In the order in which they are called."""
        return tuple(reversed(self._worker_stop))

    @property
    def crash(self) -> tuple[Hook, ...]:
        """In the order in which they are called."""
        return tuple(self._crash)


def _checked(name: str, hook: object, *arguments: object) -> Hook:
    """Refuse at once what would fail when it is called."""
    if not callable(hook):
        raise ConfigurationError(f"{name}: expected a function as in @hooks.{name}, found {shown(hook)}")
    checked = Hook(name, hook)
    if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        raise ConfigurationError(f"{checked}: expected a function that returns, found one that yields")
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):  # builtins without a signature
        return checked
    try:
        signature.bind(*arguments)
    except TypeError as error:
        expected = "one argument, the Crash" if arguments else "no argument"
        raise ConfigurationError(f"{checked}: expected a function of {expected}, found {signature}: {error}") from None
    return checked


def _call_of(hook: object) -> object:
    """An object with an async __call__ is async, too."""
    return getattr(hook, "__call__", None)  # noqa: B004 - see above
