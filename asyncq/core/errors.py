"""The whole error tree, and the exit code that each error means at the command line.

Everyone raises from here; only the roof (`asyncq.cli`) turns an error into an exit code.
An error writes its own sentence once: what was expected, what came, what to do.

    AsyncqError
    |-- ConfigurationError            a flag or setting is wrong                                  exit 2
    |-- AppImportError                the app module cannot be imported                           exit 3
    |-- HookError                     a hook of the app failed, so its process did not start      exit 3
    |-- RegistryError                                                                             exit 3
    |   |-- DuplicateTaskError        the same name registered for two handlers
    |   `-- UnknownTaskError          no handler has this name
    |-- MessageError                                                                              exit 2
    |   |-- MessageDecodeError        the bytes are not a message
    |   |-- PayloadError              the payload is not what the handler's annotation asks for
    |   `-- MessageTooLargeError      a producer tried to enqueue more than the limit
    |-- BrokerError
    |   |-- BrokerUnavailableError    Redis cannot be reached or is busy: trying again can help   exit 69
    |   |-- BrokerRefusedError        Redis refuses (credentials, rights, type): trying again cannot
    |   `-- OutcomeUnknownError       the reply was lost: the push may or may not have happened
    `-- PortBusyError                 a port to listen on is taken                                  exit 73

    TaskControl (raised by handlers, not failures): Retry, Snooze, Discard
"""

from __future__ import annotations

from asyncq.core.number import is_number

_MAX_SHOWN_CHARS = 200

EXIT_OK = 0
EXIT_CRASH_LOOP = 1
EXIT_USAGE = 2
EXIT_APP = 3
EXIT_UNAVAILABLE = 69
EXIT_INTERNAL = 70
EXIT_PORT_BUSY = 73
EXIT_HANDED_BACK = 75


class AsyncqError(Exception):
    """Base of everything asyncq raises on purpose."""

    exit_code = EXIT_INTERNAL


class ConfigurationError(AsyncqError):
    """A flag, environment variable or file setting is wrong; raised before anything starts."""

    exit_code = EXIT_USAGE


class AppImportError(AsyncqError):
    """The module that registers the tasks cannot be imported."""

    exit_code = EXIT_APP


class HookError(AsyncqError):
    """A hook of the app failed: what it was to prepare is not there, so no message may be taken."""

    exit_code = EXIT_APP


class RegistryError(AsyncqError):
    """Something is wrong with the registered tasks."""

    exit_code = EXIT_APP


class DuplicateTaskError(RegistryError):
    """Two different handlers want the same task name."""

    def __init__(self, name: str, first: str, second: str) -> None:
        super().__init__(f"task {name!r} is registered twice: by {first} and by {second}; give one another name")
        self.name = name


class UnknownTaskError(RegistryError, KeyError):
    """No handler is registered under this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no task named {name!r} is registered; import the module whose @task defines it")
        self.name = name

    def __str__(self) -> str:
        return str(self.args[0])


class MessageError(AsyncqError):
    """A message is not what the protocol asks for."""

    exit_code = EXIT_USAGE


class MessageDecodeError(MessageError):
    """The bytes are not a message; the text says what is wrong."""


class PayloadError(MessageError):
    """A payload does not fit the annotation of its handler."""

    def __init__(self, expected: str, fault: str) -> None:
        super().__init__(f"the payload does not fit {expected}: {fault}")


class MessageTooLargeError(MessageError):
    """A producer tried to enqueue a message above the size limit."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the message has {size_bytes} bytes, the limit is {limit_bytes}; "
            "store the data elsewhere and enqueue its address"
        )
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class BrokerError(AsyncqError):
    """Speaking to Redis failed."""

    exit_code = EXIT_UNAVAILABLE


class BrokerUnavailableError(BrokerError):
    """Redis cannot be reached, is loading, busy, or just changed roles: trying again can help."""


class BrokerRefusedError(BrokerError):
    """Redis refuses for a reason that stays: credentials, rights, a key of another type."""


class RegistrationLostError(AsyncqError, LookupError):
    """This incarnation was reaped; whoever meets it takes a new one.

    Attributes:
        late: How many settlements of the exchange that found out were refused.
    """

    def __init__(self, sentence: str, late: int = 0) -> None:
        super().__init__(sentence)
        self.late = late


class OutcomeUnknownError(BrokerError):
    """A push was sent and its reply lost: the message may or may not be in the queue."""


class PortBusyError(AsyncqError):
    """A port to listen on is already in use."""

    exit_code = EXIT_PORT_BUSY


class TaskControl(Exception):
    """Base of what a handler raises to say what becomes of its message."""

    delay_s: float | None = None


class Retry(TaskControl):
    """Run this message again after `delay_s` seconds; counts as a failed attempt.

    Args:
        delay_s: Seconds until the next attempt, a negative number counts as 0; None takes the task's own back-off.

    Raises:
        TypeError: the delay is no finite number. Inside a handler that is a failure like any other.
    """

    def __init__(self, delay_s: float | None = None, reason: str = "") -> None:
        super().__init__(reason or "retry requested by the handler")
        self.delay_s: float | None = None if delay_s is None else _seconds("Retry", delay_s)


class Snooze(TaskControl):
    """Run this message again after `delay_s` seconds without counting an attempt.

    Args:
        delay_s: Seconds, a negative number counts as 0.

    Raises:
        TypeError: as for Retry.
    """

    def __init__(self, delay_s: float) -> None:
        super().__init__(f"snoozed for {delay_s} s by the handler")
        self.delay_s: float | None = _seconds("Snooze", delay_s)


class Discard(TaskControl):
    """Give this message up: it becomes a dead letter with reason `discarded`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _seconds(control: str, delay_s: float) -> float:
    if not is_number(delay_s):
        raise TypeError(f"{control}: expected delay_s in seconds as a number, found {shown(delay_s)}")
    return delay_s


def shown(value: object) -> str:
    """A wrong value as the errors' sentences show it: its repr, cut, or its type when it has no repr."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a sentence about any value: Python writes no integer of 4,301 digits, for one
        return f"{type(value).__name__} that cannot be written"
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}..."
