"""URLs of several addresses: sentinels and clusters."""

import pytest

from asyncq.broker.connection import ConnectionSettings, async_connection, sync_connection
from asyncq.core import parse
from asyncq.core.errors import ConfigurationError


def test_each_server_behind_sentinels_has_the_credentials_database_and_options_of_the_url() -> None:
    url = "rediss+sentinel://user:p%40ss@a:1,[::1]:2/main.db-1/3?ssl_ca_certs=ca.pem&sentinel_password=x%2Fy"
    settings = ConnectionSettings(url, reply_timeout_s=2.0)
    place = settings.place
    assert (place.kind, place.service, place.addresses) == ("sentinel", "main.db-1", (("a", 1), ("::1", 2)))
    server = settings.server(("fe80::1", 7))
    assert (server.url, server.reply_timeout_s) == ("rediss://user:p%40ss@[fe80::1]:7/3?ssl_ca_certs=ca.pem", 2.0)
    assert server.place.options["password"] == "p@ss"


def test_sentinels_have_credentials_of_their_own_and_the_same_tls() -> None:
    url = "rediss+sentinel://user:secret@a:1,b:2/main?ssl_ca_certs=ca.pem&sentinel_username=me&sentinel_password=x%2Fy"
    first, second = ConnectionSettings(url, connect_timeout_s=3.0).sentinels()
    assert first.url == "rediss://me:x%2Fy@a:1?ssl_ca_certs=ca.pem"
    assert second.place.options["password"] == "x/y"
    assert first.connect_timeout_s == 1.0  # both and the master within the three seconds
    assert ConnectionSettings("redis+sentinel://user:secret@a:1/main").sentinels()[0].url == "redis://a:1"


def test_each_node_of_a_cluster_has_the_credentials_and_options_of_the_url() -> None:
    settings = ConnectionSettings("rediss+cluster://:secret@a:1,b:2/0?ssl_cert_reqs=none")
    assert (settings.place.kind, settings.place.addresses) == ("cluster", (("a", 1), ("b", 2)))
    assert settings.server(("c", 3)).url == "rediss://:secret@c:3/0?ssl_cert_reqs=none"
    assert settings.address == "rediss+cluster://***@a:1,b:2/0?ssl_cert_reqs=none"
    assert "secret" not in repr(settings) + repr(settings.place)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis+sentinel://a:1,b:2", "the name of the service is missing, as in host:26379/mymaster"),
        ("redis+sentinel://a:1/main/x", "the name of the service is missing"),
        ("redis+sentinel://a/main", "each address must be host:port, with commas between them"),
        ("redis+sentinel://a:1,/main", "each address must be host:port"),
        ("redis+sentinel://a:1/main?sentinel_username=u", "sentinel_username is given without sentinel_password"),
        ("redis+sentinel://a:1/main?db=2", "the option 'db' is not one of username, password;"),
        ("redis+sentinel://a:1/main?ssl_ca_certs=c", "the option 'ssl_ca_certs' is not one of username, password;"),
        ("redis+cluster://", "each address must be host:port"),
        ("redis+cluster://a:1/1", "a cluster has one database, 0, and no path"),
        ("redis+cluster://a:70000", "each address must be host:port"),
        ("redis+cluster://a:1?sentinel_password=secret", "the option 'sentinel_password' is not one of"),
        ("redis+cluster://user:sec/ret@a:1", "it cannot be read; in a password write @ : / [?] # as %XX"),
        ("redis+cluster://user:1,secret", "each address must be host:port"),
        ("unix+cluster:///s", "found something that begins otherwise"),
    ],
)
def test_url_is_refused_in_a_sentence_without_secrets_when_it_is_wrong(url: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        ConnectionSettings(url)
    assert [word for word in ("sec/", "secret") if word in str(caught.value)] == []


@pytest.mark.parametrize("make", [async_connection, sync_connection])
def test_no_connection_is_made_to_nobody_when_the_place_has_several_servers(make: type) -> None:
    with pytest.raises(ValueError, match="expected one server, found a place of kind cluster"):
        make(ConnectionSettings("redis+cluster://a:1"), "role")


@pytest.mark.parametrize("scheme", ["redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"])
def test_setting_takes_every_form(scheme: str) -> None:
    assert parse.REDIS_URL.read(f"{scheme}://a:1/main") == f"{scheme}://a:1/main"
    with pytest.raises(ValueError, match="redis"):
        parse.REDIS_URL.read(f"{scheme}://")
