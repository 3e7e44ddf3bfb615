"""The tests of a module once more on a cluster, and why some are not.

Left out are those with the proxy that cuts wires: it stands before one server, and each node's wire is the one
that was tested with it.
"""

from types import ModuleType

from tests.support.again import once_more

PER_NODE = "connections are counted for one server; a cluster has as many to each node, and asks another for the slots"
ONE_SERVER = "asks the wire of one server; clients fork on a cluster in test_cluster_clients.py"
PROXY = "all of them need the proxy"


def on_cluster(module: ModuleType, left_out: dict[str, str] | None = None, prefix: str = "") -> dict[str, object]:
    """See `once_more`."""
    return once_more(module, left_out, prefix, without="proxy")
