"""A master, a replica and three sentinels that watch them.

Used through the fixture `sentinels`; a test may demote the master, or kill it.
"""

from types import TracebackType
from typing import Self

from tests.support.nodes import HOST, Node, Nodes, free_port
from tests.support.states import wait_until

SERVICE = "mymaster"
DOWN_AFTER_S = 1.0
WATCHERS = 3
_SERVER = ['save ""', "appendonly no", "repl-diskless-sync-delay 0", "loglevel warning"]


class Sentinels:
    """On exit from the `with` all of them are gone.

    Attributes:
        servers: The first master, then its replica.
        watchers: The sentinels.
    """

    def __init__(self, binary: str) -> None:
        self._nodes = Nodes(binary)
        self.servers: list[Node] = []
        self.watchers: list[Node] = []

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self._nodes.close()
            raise
        return self

    def _make(self) -> None:
        master = self._nodes.start("master", _SERVER)
        master.wait_ready()
        replica = self._nodes.start("replica", [*_SERVER, f"replicaof {HOST} {master.port}"])
        self.servers = [master, replica]
        ports = [free_port() for _ in range(WATCHERS)]
        self.watchers = [self._watch(ports, k) for k in range(WATCHERS)]
        for node in (replica, *self.watchers):
            node.wait_ready()
        wait_until(self._is_whole, timeout_s=30.0, what="every sentinel knows the others and the replica")

    def _watch(self, ports: list[int], own: int) -> Node:
        """A sentinel that is told of the others and the replica, so that it need not find them."""
        master, replica = self.servers
        told = [
            f"myid {_id(own)}",
            f"monitor {SERVICE} {HOST} {master.port} 2",
            f"down-after-milliseconds {SERVICE} {int(DOWN_AFTER_S * 1000)}",
            f"failover-timeout {SERVICE} 3000",  # a vote without a winner is repeated after twice as long
            f"known-replica {SERVICE} {HOST} {replica.port}",
            *(f"known-sentinel {SERVICE} {HOST} {port} {_id(k)}" for k, port in enumerate(ports) if k != own),
        ]
        config = ["loglevel warning", *(f"sentinel {line}" for line in told)]
        return self._nodes.start(f"sentinel-{own}", config, "--sentinel", port=ports[own])

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._nodes.close()

    def _is_whole(self) -> bool:
        if self.servers[1].client.info("replication")["master_link_status"] != "up":
            return False
        states = [watcher.client.sentinel_master(SERVICE) for watcher in self.watchers]
        seen = [watcher.client.sentinel_slaves(SERVICE)[0]["flags"] for watcher in self.watchers]
        return set(seen) == {"slave"} and all(state["num-other-sentinels"] == WATCHERS - 1 for state in states)

    @property
    def master(self) -> Node:
        """Whom the first sentinel calls the master."""
        _, port = self.watchers[0].client.sentinel_get_master_addr_by_name(SERVICE)
        (node,) = (node for node in self.servers if node.port == port)
        return node

    def fail_over(self) -> None:
        """Make the replica the master, as operators do."""
        self.watchers[0].client.execute_command("SENTINEL", "FAILOVER", SERVICE)

    def replicate(self) -> None:
        """Wait until the replica has all that the master has."""
        self.servers[0].replicate("mark")

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'{HOST}:{node.port}' for node in self.watchers)}/{SERVICE}"


def _id(number: int) -> str:
    return f"{number + 1:040x}"
