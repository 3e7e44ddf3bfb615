"""asyncq: a distributed task queue on asyncio and Redis lists, supervised.

The front door. Everything is loaded on first use, so that importing asyncq costs next to nothing; the article's
whole vocabulary is in `asyncq.simple`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asyncq.core import outbox

if TYPE_CHECKING:
    from asyncq.client.client import Client
    from asyncq.client.sync import SyncClient
    from asyncq.core.envelope import Envelope, Handle, create_task
    from asyncq.core.errors import (
        AsyncqError,
        BrokerError,
        BrokerRefusedError,
        BrokerUnavailableError,
        ConfigurationError,
        Discard,
        MessageTooLargeError,
        OutcomeUnknownError,
        Retry,
        Snooze,
    )
    from asyncq.core.hooks import Crash
    from asyncq.core.options import TaskOptions
    from asyncq.core.registry import Registry, hooks, task
    from asyncq.core.retry import RetryPolicy
    from asyncq.core.task import Attempt, Task
    from asyncq.simple import TASK_REGISTRY, enqueue_many, enqueue_task, execute_with_retry, start_workers

__all__ = [
    "TASK_REGISTRY",
    "AsyncqError",
    "Attempt",
    "BrokerError",
    "BrokerRefusedError",
    "BrokerUnavailableError",
    "Client",
    "ConfigurationError",
    "Crash",
    "Discard",
    "Envelope",
    "Handle",
    "MessageTooLargeError",
    "OutcomeUnknownError",
    "Registry",
    "Retry",
    "RetryPolicy",
    "Snooze",
    "SyncClient",
    "Task",
    "TaskOptions",
    "create_task",
    "enqueue_many",
    "enqueue_task",
    "execute_with_retry",
    "hooks",
    "start_workers",
    "task",
]

__version__ = "0.1.0"  # pyproject.toml reads it here

_HOMES = {
    "AsyncqError": "core.errors",
    "Attempt": "core.task",
    "BrokerError": "core.errors",
    "BrokerRefusedError": "core.errors",
    "BrokerUnavailableError": "core.errors",
    "Client": "client.client",
    "ConfigurationError": "core.errors",
    "Crash": "core.hooks",
    "Discard": "core.errors",
    "Envelope": "core.envelope",
    "Handle": "core.envelope",
    "MessageTooLargeError": "core.errors",
    "OutcomeUnknownError": "core.errors",
    "Registry": "core.registry",
    "Retry": "core.errors",
    "RetryPolicy": "core.retry",
    "Snooze": "core.errors",
    "SyncClient": "client.sync",
    "Task": "core.task",
    "TaskOptions": "core.options",
    "create_task": "core.envelope",
    "hooks": "core.registry",
    "task": "core.registry",
}


def _default_client() -> Client:
    client: Client = import_module("asyncq.client.client").default_client
    return client


outbox.provide(_default_client)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'asyncq' has no attribute {name!r}")
    value = getattr(import_module(f"asyncq.{_HOMES.get(name, 'simple')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
