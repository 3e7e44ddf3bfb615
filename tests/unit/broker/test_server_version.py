"""Make and version of a server from what it says of itself."""

import pytest

from asyncq.broker.server_version import version_in


@pytest.mark.parametrize(
    ("info", "version"),
    [
        ("# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n", "Redis 7.0.15"),
        ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n", "Valkey 9.1.2"),
        ("", "Redis (unknown)"),
    ],
)
def test_make_and_version_are_named_when_info_says_them(info: str, version: str) -> None:
    assert version_in(info) == version
