"""Which wire is made for which URL, and that nobody makes one past the place that knows."""

import re
from pathlib import Path

import pytest

import asyncq.broker
from asyncq.broker.cluster import ClusterLine, ClusterWire
from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.sync_wire import OneSyncWire, SyncClusterWire
from asyncq.broker.wire import AsyncWire, BlockingLine
from asyncq.broker.wires import async_wire, sync_wire

ROOM = Path(asyncq.broker.__file__).parent


@pytest.mark.parametrize(
    ("url", "kinds"),
    [
        ("redis://a:1", (AsyncWire, BlockingLine, OneSyncWire)),
        ("unix:///s", (AsyncWire, BlockingLine, OneSyncWire)),
        ("redis+sentinel://a:1/main", (AsyncWire, BlockingLine, OneSyncWire)),
        ("redis+cluster://a:1", (ClusterWire, ClusterLine, SyncClusterWire)),
    ],
)
async def test_the_url_decides(url: str, kinds: tuple[type, type, type]) -> None:
    settings = ConnectionSettings(url)
    wire = async_wire(settings, "role")
    assert (type(wire), type(wire.line("role")), type(sync_wire(settings, "role"))) == kinds


def test_nobody_else_makes_a_wire() -> None:
    made = re.compile(r"\b(AsyncWire|BlockingLine|ClusterWire|ClusterLine|OneSyncWire|SyncClusterWire)\((?!Protocol)")
    makers = {path.name for path in ROOM.parent.rglob("*.py") if made.search(path.read_text())}
    assert makers == {"wires.py", "wire.py", "cluster.py", "sync_wire.py"}
