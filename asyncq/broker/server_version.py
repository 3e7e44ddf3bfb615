"""Which server answers at a URL: its make and version. Called by `asyncq version`; speaks INFO and nothing else."""

from __future__ import annotations

import re

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.wires import sync_wire

_TIMEOUT_S = 2.0


def server_version(url: str) -> str:
    """For example "Valkey 9.1.2" or "Redis 7.0.15".

    Raises:
        ConfigurationError: not a Redis URL.
        BrokerError: it cannot be reached within 2 s, or refuses.

    Cost: 1 INFO on a connection of its own.
    """
    settings = ConnectionSettings(url, connect_timeout_s=_TIMEOUT_S, reply_timeout_s=_TIMEOUT_S)
    wire = sync_wire(settings, "version")
    try:
        said = wire.call("INFO", "server")
    finally:
        wire.close()
    return version_in(said.decode("utf-8", "replace"))


def version_in(info: str) -> str:
    """Make and version from the text of INFO. Pure. Valkey also names the Redis version it is compatible with."""
    facts = dict(re.findall(r"^(\w+):(.*?)\r?$", info, re.MULTILINE))
    if "valkey_version" in facts:
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts.get('redis_version', '(unknown)')}"
