"""Wires for whatever kind of Redis the URL names: the one place that knows all of them.

Called by the broker, producers and the inspector. Opens no connection.
"""

from __future__ import annotations

from asyncq.broker.cluster import ClusterWire
from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.sync_wire import OneSyncWire, SyncClusterWire
from asyncq.broker.wire import DEFAULT_CONNECTIONS, AsyncWire
from asyncq.broker.wire_door import SyncWire, Wire


def async_wire(settings: ConnectionSettings, client_name: str, connections: int = DEFAULT_CONNECTIONS) -> Wire:
    """A wire for one event loop, with at most `connections` at once to each server."""
    if settings.place.kind == "cluster":
        return ClusterWire(settings, client_name, connections)
    return AsyncWire(settings, client_name, connections)


def sync_wire(settings: ConnectionSettings, client_name: str) -> SyncWire:
    """A wire for threads."""
    if settings.place.kind == "cluster":
        return SyncClusterWire(settings, client_name)
    return OneSyncWire(settings, client_name)
