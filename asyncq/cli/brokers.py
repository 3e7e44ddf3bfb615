"""The broker of one process, made from the settings. Called by the workers' roof (`rooms`) and in the keeper.

Brings redis-py, but neither tasks nor workers.
"""

from __future__ import annotations

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.redis_broker import RedisBroker
from asyncq.core.settings import Settings

RENEWALS_PER_LEASE = 5


def make_broker(settings: Settings, redis_url: str, role: str) -> RedisBroker:
    """A broker for one process and event loop. No Redis call."""
    return RedisBroker(
        ConnectionSettings(redis_url),
        lease_ms=int(settings.lease_s * 1000),
        max_message_bytes=settings.max_message_bytes,
        role=role,
    )


def renew_s(settings: Settings) -> float:
    """Seconds between two renewals of a lease: 3 s for the default lease of 15 s."""
    return settings.lease_s / RENEWALS_PER_LEASE
