"""No password reaches a person's eyes."""

import pytest

from asyncq.core.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://user:se:cret@host:6379/1", "redis://***@host:6379/1"),
        ("rediss://:secret@host", "rediss://***@host"),
        ("redis://user:se/cr@et@host/0", "redis://***@host/0"),
        ("redis://us%40er:s%40cret@host/0", "redis://***@host/0"),
        ("unix:///run/redis.sock?db=2&password=secret", "unix:///run/redis.sock?db=2&password=***"),
        ("rediss://host?ssl_password=secret&db=1", "rediss://host?ssl_password=***&db=1"),
        ("'http://me:secret@host'", "'http://***@host'"),
        ("me:secret@host", "***@host"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://[::1]:6379/0?db=1", "redis://[::1]:6379/0?db=1"),
        ("redis://host", "redis://host"),
        ("redis://user:secret", "redis://***"),
        ("redis://:secret/0", "redis://***/0"),
        ("redis://host?password=sec'ret\"secret&db=1", "redis://host?password=***&db=1"),
        ("redis://host?password=sec&ret&db=1", "redis://host?password=***&***&db=1"),
        ("redis://host?p%61ssword=secret", "redis://host?p%61ssword=***"),
        ("redis://host?PASSWORD=secret", "redis://host?PASSWORD=***"),
        ("redis://host?pass=secret", "redis://host?pass=***"),
        ("redis+sentinel://user:se:cret@a:1,b:2/main/1", "redis+sentinel://***@a:1,b:2/main/1"),
        ("rediss+sentinel://u:se/cr,et@a:1/main", "rediss+sentinel://***@a:1/main"),
        (
            "redis+sentinel://a:1,b:2/main?sentinel_username=u&sentinel_password=secret&ssl_ca_certs=c",
            "redis+sentinel://a:1,b:2/main?sentinel_username=u&sentinel_password=***&ssl_ca_certs=c",
        ),
        ("redis+cluster://a:1,[::1]:2", "redis+cluster://a:1,[::1]:2"),
        ("'redis+cluster://:secret@a:1,b:2'", "'redis+cluster://***@a:1,b:2'"),
        ("redis+cluster://user:secret", "redis+cluster://***"),
        ("redis+cluster://user:12,secret", "redis+cluster://***"),
        ("redis+sentinel://user:1,secret/main", "redis+sentinel://***/main"),
        ("redis://user:12,secret", "redis://***"),
    ],
)
def test_credentials_are_replaced_and_nothing_else(text: str, shown: str) -> None:
    assert shown == redact(text)
