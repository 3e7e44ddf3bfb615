"""Failures: from what redis-py raises to the errors of the house, in this one place.

Called by the wires for every failed call. Never retries, never logs, never prints a password.
"""

from __future__ import annotations

import ssl
from typing import Final

from redis import exceptions as redis_errors

from asyncq.core.errors import BrokerError, BrokerRefusedError, BrokerUnavailableError

# First words of error replies that pass by themselves (roles, memory, persistence, scripts).
_PASSING: Final = frozenset(
    (
        "LOADING",
        "BUSY",
        "READONLY",
        "MASTERDOWN",
        "UNBLOCKED",
        "NOREPLICAS",
        "MISCONF",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "OOM",
    )
)
# redis-py strips the first word where it has a class of its own.
_PASSING_TYPES: Final = (
    redis_errors.BusyLoadingError,
    redis_errors.ReadOnlyError,
    redis_errors.MasterDownError,
    redis_errors.TryAgainError,
    redis_errors.ClusterDownError,
    redis_errors.OutOfMemoryError,
)
_REFUSING_TYPES: Final = (redis_errors.AuthenticationError, redis_errors.AuthorizationError)

# What a failed call may raise; anything else is a mistake of ours and passes through.
CALL_ERRORS: Final = (redis_errors.RedisError, OSError, TimeoutError)

# The server is not (or no longer) the one to ask: the next call has to find out who is.
_REOPENING_WORDS: Final = ("READONLY", "MASTERDOWN", "UNBLOCKED", "NOREPLICAS")
_REOPENING_TYPES: Final = (redis_errors.ReadOnlyError, redis_errors.MasterDownError)
_REDIRECTING_TYPES: Final = (redis_errors.MovedError, redis_errors.AskError)

_NO_ANSWER: Final = "no answer in time"


class NotSentError(BrokerUnavailableError):
    """No connection: nothing was written, so nothing happened."""


class ReplyLostError(BrokerUnavailableError):
    """The command was written and no reply came back: it may or may not have been carried out."""


def is_answer(error: BaseException) -> bool:
    """Whether Redis itself answered with this error, so that the command surely was not carried out."""
    return isinstance(error, (redis_errors.ResponseError, *_PASSING_TYPES, *_REFUSING_TYPES))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a translated error means that Redis is at its maxmemory."""
    return isinstance(error.__cause__, redis_errors.OutOfMemoryError)


def needs_reopening(reply: object) -> bool:
    """Whether this reply says that the connection leads to a server that cannot be written to any more."""
    if not isinstance(reply, redis_errors.ResponseError):
        return False
    return isinstance(reply, _REOPENING_TYPES) or str(reply).split(" ", 1)[0] in _REOPENING_WORDS


def translate(error: BaseException, address: str, *, sent: bool) -> BrokerError:
    """The house's error for what a call raised; the caller raises it `from error`.

    Args:
        error: One of CALL_ERRORS.
        address: Where, without the password.
        sent: Whether the command may have been written before it failed.
    """
    error = _answer_within(error)
    text = (str(error) or type(error).__name__).rstrip(".")
    if is_answer(error):
        if isinstance(error, _PASSING_TYPES) or text.split(" ", 1)[0] in _PASSING:
            return BrokerUnavailableError(f"Redis at {address} cannot serve us now: {text}")
        if isinstance(error, _REDIRECTING_TYPES):
            return BrokerRefusedError(
                f"Redis at {address} is one node of a cluster; name the cluster: redis+cluster://host:port,host:port"
            )
        return BrokerRefusedError(
            f"Redis at {address} refused: {text}; check the credentials, the rights and the key's type"
        )
    if isinstance(error, TimeoutError | redis_errors.TimeoutError):
        text = _NO_ANSWER
    if sent:
        return ReplyLostError(f"the connection to Redis at {address} was lost before the reply: {text}")
    return NotSentError(f"cannot reach Redis at {address}: {text}; {_advice(error, text, address)}")


def _answer_within(error: BaseException) -> BaseException:
    """What Redis answered while a connection was made: over unix sockets redis-py calls that a lost connection."""
    cause = error.__cause__
    return cause if cause is not None and is_answer(cause) else error


def _advice(error: BaseException, text: str, address: str) -> str:
    """What to look at when no connection comes about."""
    causes = _causes(error)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return "check ssl_ca_certs and the name of the host in the URL"
    hung_up = any(isinstance(cause, ssl.SSLError | ConnectionResetError) for cause in causes)
    silent = address.startswith("rediss") and text == _NO_ANSWER  # a port without TLS waits for the rest of a command
    if silent or (not address.startswith("unix:") and (hung_up or "closed by server" in text)):
        return "is it running there, with TLS (rediss://) or without (redis://), and does it want a client certificate?"
    return "is it running there?"


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and what it arose from, the innermost last."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
