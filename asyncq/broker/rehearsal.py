"""What a process does only once on its way to Redis, done before it forks: then its children share what it leaves.

Called by the roof in the zygote. Opens no connection and makes no event loop.
"""

from __future__ import annotations

import codecs

from asyncq.broker.connection import ConnectionSettings, async_connection
from asyncq.broker.redis_broker import host_id
from asyncq.broker.scripts import NAMES, script

# Encodings that the first connection looks up (host names, CLIENT SETINFO).
_ENCODINGS = ("ascii", "idna", "utf-8")


def rehearse(settings: ConnectionSettings) -> None:
    """Load the scripts, the encodings and what redis-py looks up about itself. No Redis call."""
    for name in NAMES:
        script(name)
    for encoding in _ENCODINGS:
        codecs.lookup(encoding)
    host_id()
    async_connection(settings, "rehearsal")
