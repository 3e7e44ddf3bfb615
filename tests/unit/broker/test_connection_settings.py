"""URLs, and the connections that the factory makes of them."""

import socket
from typing import Any

import pytest

from asyncq.broker.connection import ConnectionSettings, async_connection, sync_connection
from asyncq.core.errors import ConfigurationError


def test_no_secret_is_shown_when_settings_are_printed() -> None:
    settings = ConnectionSettings("redis://user:secret@host:6379/1")
    assert settings.address == "redis://***@host:6379/1"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://user:secret@host",
        "redis://user:secret@host:port",
        "redis://user:secret@host:99999/0",
        "redis://user:secret@host/zero",
        "unix://user:secret@",
        "redis://user:secret@host/0?socket_timeout=3",
        "redis://user:secret@host/0?db=one",
        "redis://user:sec/ret@host",
        "redis://user:123/secret@host/0",
    ],
)
def test_url_is_refused_without_its_password_when_it_is_wrong(url: str) -> None:
    with pytest.raises(ConfigurationError, match="Redis URL") as caught:
        ConnectionSettings(url)
    said = str(caught.value)
    assert [word for word in ("sec/", "'sec'", "secret", "123") if word in said] == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("rediss://host?ssl_foo=1", "the option 'ssl_foo' is not one of db, username, password, .*ssl_ca_certs"),
        ("rediss://host?ssl_min_version=771", "the option 'ssl_min_version' is not one of"),
        ("rediss://host?ssl_cert_reqs=perhaps", "ssl_cert_reqs is not one of none, optional, required"),
        ("rediss://host?ssl_keyfile=key.pem", "ssl_keyfile is given without ssl_certfile"),
        ("redis://host?ssl_cert_reqs=none", "the option 'ssl_cert_reqs' is not one of db, username, password;"),
        ("redis://host?path=/s", "the option 'path' is not one of"),
        ("redis://host?connection_class=x", "the option 'connection_class' is not one of"),
        ("unix:///s?ssl_ca_certs=ca.pem", "the option 'ssl_ca_certs' is not one of db, username, password;"),
    ],
)
def test_option_is_refused_when_no_connection_takes_it(url: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        ConnectionSettings(url)


@pytest.mark.parametrize("make", [async_connection, sync_connection])
def test_options_of_tls_reach_the_connection(make: Any) -> None:
    options = "ssl_ca_certs=ca.pem&ssl_certfile=c.pem&ssl_keyfile=k.pem&ssl_check_hostname=false&ssl_ciphers=HIGH"
    made = make(ConnectionSettings(f"rediss://host?{options}"), "role")
    context = getattr(made, "ssl_context", made)
    assert (context.ca_certs, context.certfile, context.keyfile) == ("ca.pem", "c.pem", "k.pem")


@pytest.mark.parametrize("url", ["redis://host:1/2", "unix:///s?db=2", "rediss://host:1/2"])
@pytest.mark.parametrize("make", [async_connection, sync_connection])
def test_nothing_is_left_to_the_defaults_of_redis_py_when_a_connection_is_made(url: str, make: Any) -> None:
    made = make(ConnectionSettings(url, connect_timeout_s=1.5, reply_timeout_s=2.5, idle_check_s=7.0), "role")
    assert (made.db, made.client_name, made.protocol) == (2, "asyncq:role", 2)
    assert made.retry._retries == 0  # no public name in every version
    assert made.retry_on_timeout is False
    assert made.health_check_interval == 7.0
    assert made.socket_connect_timeout == 1.5
    assert made.socket_timeout == (2.5 if make is sync_connection else None)
    assert made.encoder.decode_responses is False


@pytest.mark.parametrize("make", [async_connection, sync_connection])
def test_dead_peers_are_noticed_by_the_kernel_when_the_socket_is_tcp(make: Any) -> None:
    made = make(ConnectionSettings("redis://host", reply_timeout_s=5.0), "role")
    assert made.socket_keepalive is True
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert made.socket_keepalive_options[socket.TCP_USER_TIMEOUT] == 25_000
    if hasattr(socket, "TCP_KEEPIDLE"):
        names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        idle_s, every_s, count = (made.socket_keepalive_options[name] for name in names)
        assert idle_s + every_s * count <= 30


def test_certificates_are_verified_when_the_url_is_rediss() -> None:
    made: Any = sync_connection(ConnectionSettings("rediss://host"), "role")
    assert (made.cert_reqs.name, made.check_hostname) == ("CERT_REQUIRED", True)


def test_certificates_are_not_verified_when_the_url_says_so() -> None:
    made: Any = sync_connection(ConnectionSettings("rediss://host?ssl_cert_reqs=none"), "role")
    assert (made.cert_reqs.name, made.check_hostname) == ("CERT_NONE", False)
