"""What each error of redis-py becomes."""

import re
import ssl

import pytest
from redis import exceptions as redis_errors
from redis._parsers import BaseParser

from asyncq.broker.failures import NotSentError, ReplyLostError, is_out_of_memory, translate
from asyncq.core.errors import BrokerError, BrokerRefusedError, BrokerUnavailableError

PASSING = [
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy running a script.",
    "READONLY You can't write against a read only replica.",
    "MASTERDOWN Link with MASTER is down",
    "UNBLOCKED force unblock from blocking operation, instance state changed",
    "NOREPLICAS Not enough good replicas to write.",
    "MISCONF Redis is configured to save RDB snapshots",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "CLUSTERDOWN The cluster is down",
    "OOM command not allowed when used memory > 'maxmemory'.",
]
REFUSING = [
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM this user has no permissions to run the 'rpush' command",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "ERR unknown command",
]


def translated(error: BaseException, *, sent: bool = True) -> BrokerError:
    return translate(error, "redis://host:1/0", sent=sent)


@pytest.mark.parametrize("reply", PASSING)
def test_trying_again_can_help_when_redis_answers_that_it_cannot_now(reply: str) -> None:
    error = translated(BaseParser.parse_error(reply))
    assert type(error) is BrokerUnavailableError
    assert "redis://host:1/0" in str(error)


@pytest.mark.parametrize("reply", REFUSING)
def test_trying_again_cannot_help_when_redis_refuses(reply: str) -> None:
    error = translated(BaseParser.parse_error(reply))
    assert type(error) is BrokerRefusedError
    assert "redis://host:1/0" in str(error)


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.ConnectionError("Connection closed by server."),
        redis_errors.TimeoutError("Timeout reading from socket"),
        ConnectionResetError(104, "reset"),
        TimeoutError(),
    ],
)
def test_fate_is_open_only_when_something_was_written(error: BaseException) -> None:
    assert type(translated(error, sent=True)) is ReplyLostError
    assert type(translated(error, sent=False)) is NotSentError


def test_answer_counts_when_redis_py_says_that_no_connection_came_about() -> None:
    wrapped = redis_errors.ConnectionError("invalid password.")
    wrapped.__cause__ = redis_errors.AuthenticationError("invalid password.")
    error = translated(wrapped, sent=False)
    assert type(error) is BrokerRefusedError
    assert "refused: invalid password; check the credentials" in str(error)


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        (ssl.SSLCertVerificationError(1, "verify failed."), "check ssl_ca_certs and the name of the host in the URL"),
        (ssl.SSLError(1, "wrong version number"), "is it running there, with TLS .* client certificate?"),
        (ConnectionResetError(104, "reset"), "is it running there, with TLS .* client certificate?"),
        (ConnectionRefusedError(111, "refused"), "is it running there?"),
    ],
)
def test_advice_fits_when_no_connection_comes_about(cause: OSError, advice: str) -> None:
    error = redis_errors.ConnectionError("Error 1 connecting.")
    error.__context__ = cause
    assert re.fullmatch(
        f"cannot reach Redis at .*: Error 1 connecting; {advice.replace('?', '[?]')}",
        str(translated(error, sent=False)),
    )


def test_advice_is_about_tls_when_a_port_that_should_speak_it_says_nothing() -> None:
    assert "with TLS" in str(translate(TimeoutError(), "rediss://host:1/0", sent=False))
    assert "with TLS" not in str(translate(TimeoutError(), "redis://host:1/0", sent=False))


def test_advice_is_silent_about_tls_when_the_socket_is_a_file() -> None:
    said = str(translate(ConnectionResetError(104, "reset"), "unix:///s", sent=False))
    assert said.endswith("is it running there?")


def test_full_is_told_apart_when_redis_is_at_maxmemory() -> None:
    cause = redis_errors.OutOfMemoryError("command not allowed")
    error = translated(cause)
    error.__cause__ = cause
    assert is_out_of_memory(error)
    assert not is_out_of_memory(translated(redis_errors.ReadOnlyError("x")))
