"""A cluster of three masters, made of plain server processes by commands of our own.

Used through the fixture `cluster`, which lives as long as the session, and `own_cluster`, which a test may damage. A
node that is gone takes only its own slots with it, so that what the others do then can be seen.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import redis
from redis.crc import key_slot

from tests.support.cluster_client import ClusterClient
from tests.support.nodes import HOST, Node, Nodes, free_port
from tests.support.states import wait_until

SLOTS = 16384
COUNT = 3
_CONFIG = [
    'save ""',
    "appendonly no",
    "cluster-enabled yes",
    "cluster-node-timeout 2000",
    "cluster-require-full-coverage no",
    "repl-diskless-sync-delay 0",
    "loglevel warning",
]


class Cluster:
    """Three masters that know each other and serve all slots; on exit from the `with` they are gone.

    Attributes:
        nodes: The masters.
        client: Looks at all of them, as long as no slot moves.
    """

    def __init__(self, binary: str) -> None:
        self._nodes = Nodes(binary)
        self._buses: dict[int, int] = {}
        self.nodes: list[Node] = []
        self.client: redis.Redis = ClusterClient([], int)

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self._nodes.close()
            raise
        return self

    def _make(self) -> None:
        self.nodes = [self._start(f"node-{k}") for k in range(COUNT)]
        for node in self.nodes:
            node.wait_ready()
        bounds = [SLOTS * k // COUNT for k in range(COUNT + 1)]
        for k, node in enumerate(self.nodes):
            node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", k + 1)
            node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[k], bounds[k + 1] - 1)
        for node in self.nodes[1:]:
            self._meet(node, self.nodes[0])
        wait_until(lambda: all(map(self._is_whole, self.nodes)), timeout_s=30.0, what="the cluster is whole")
        self.client = ClusterClient(
            [node.client for node in self.nodes], lambda slot: sum(slot >= bound for bound in bounds[1:])
        )

    def _start(self, name: str) -> Node:
        """A node whose bus has a port of its own: the usual one, 10000 above, need not exist."""
        bus = free_port()
        node = self._nodes.start(name, [*_CONFIG, f"cluster-port {bus}", f"cluster-config-file {name}.nodes"])
        self._buses[node.port] = bus
        return node

    def _meet(self, one: Node, other: Node) -> None:
        one.client.execute_command("CLUSTER", "MEET", HOST, other.port, self._buses[other.port])

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._nodes.close()

    @staticmethod
    def _is_whole(node: Node) -> bool:
        """Whether a node is ready to serve, and knows who serves every slot."""
        info = str(node.client.execute_command("CLUSTER", "INFO"))
        return "cluster_state:ok" in info and len(_slots(node)) == COUNT

    def add_replica(self, master: Node) -> Node:
        """A new node that has everything this one has, known to all."""
        replica = self._start("replica")
        replica.wait_ready()
        self._meet(replica, master)
        wait_until(lambda: len(_slots(replica)) == COUNT, timeout_s=20.0, what="the replica knows the cluster")
        replica.client.execute_command("CLUSTER", "REPLICATE", master.client.cluster("MYID"))
        link = "master_link_status"
        wait_until(lambda: replica.client.info("replication").get(link) == "up", timeout_s=20.0, what="it has all")
        # Nobody votes for a replica of which it does not know that it is one.
        own = replica.client.cluster("MYID").decode()
        wait_until(lambda: all(_knows_as_replica(node, own) for node in self.nodes), timeout_s=20.0, what="all know it")
        return replica

    def owner(self, key: str) -> Node:
        """Who serves this key now, as all nodes that answer see it."""
        return self.node_of_slot(key_slot(key.encode()))

    def node_of_slot(self, slot: int) -> Node:
        ports = {port for first, last, port in _slots(self.nodes[0]) if first <= slot <= last}
        (node,) = (node for node in self.nodes if node.port in ports)
        return node

    def move(self, slot: int, target: Node, between_keys: Callable[[], None]) -> int:
        """Move a slot as operators do, live and key by key; how many keys it was.

        Args:
            between_keys: Called before the first key, after each and before the slot is given away.
        """
        source = self.node_of_slot(slot)
        target.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.client.cluster("MYID"))
        source.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.client.cluster("MYID"))
        moved = 0
        between_keys()
        while keys := source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1):
            source.client.execute_command("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)
            moved += 1
            between_keys()
        others = [node for node in self.nodes if node not in (source, target)]
        for node in (target, source, *others):
            node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target.client.cluster("MYID"))
        return moved

    @property
    def url(self) -> str:
        """Names two of the nodes."""
        return self.url_of()

    def url_of(self, user: str = "", password: str = "") -> str:
        """The same for one user."""
        credentials = f"{user}:{password}@" if user else ""
        return f"redis+cluster://{credentials}{','.join(f'{HOST}:{node.port}' for node in self.nodes[:2])}"


def _slots(node: Node) -> list[tuple[int, int, int]]:
    """(first, last, port of the master) of each range, as this node sees it."""
    rows = redis.Connection(HOST, node.port)
    try:
        rows.connect()
        rows.send_command("CLUSTER", "SLOTS")
        return [(first, last, master[1]) for first, last, master, *_ in rows.read_response()]
    finally:
        rows.disconnect()


def _knows_as_replica(node: Node, replica_id: str) -> bool:
    lines: list[str] = node.client.execute_command("CLUSTER", "NODES").decode().splitlines()
    return any(line.startswith(replica_id) and "slave" in line for line in lines)
