"""A master, a replica and three sentinels that watch them.

Used through the fixture `sentinels`; a test may demote the master, or kill it.
"""

from types import TracebackType
from typing import Self

from tests.support.nodes import HOST, Node, Nodes
from tests.support.states import wait_until

SERVICE = "mymaster"
DOWN_AFTER_S = 1.0
_SERVER = {"save": '""', "appendonly": "no", "repl-diskless-sync-delay": "0", "loglevel": "warning"}


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
        master = self._nodes.start("master", _SERVER)
        master.wait_ready()
        replica = self._nodes.start("replica", {**_SERVER, "replicaof": f"{HOST} {master.port}"})
        self.servers = [master, replica]
        replica.wait_ready()
        wait_until(self._is_synced, timeout_s=30.0, what="the replica has all")  # sentinels look at once, then rarely
        self.watchers = [self._watch(f"sentinel-{k}", master.port) for k in range(3)]
        for watcher in self.watchers:
            watcher.wait_ready()
        wait_until(self._is_whole, timeout_s=30.0, what="every sentinel knows the others and the replica")
        return self

    def _watch(self, name: str, port: int) -> Node:
        told = {
            "sentinel monitor": f"{SERVICE} {HOST} {port} 2",
            "sentinel down-after-milliseconds": f"{SERVICE} {int(DOWN_AFTER_S * 1000)}",
            "sentinel failover-timeout": f"{SERVICE} 5000",
        }
        return self._nodes.start(name, told, "--sentinel")

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._nodes.__exit__(kind, error, trace)

    def _is_whole(self) -> bool:
        states = [watcher.client.sentinel_master(SERVICE) for watcher in self.watchers]
        return all(state["num-slaves"] == 1 and state["num-other-sentinels"] == 2 for state in states)

    def _is_synced(self) -> bool:
        found: bool = self.servers[1].client.info("replication")["master_link_status"] == "up"
        return found

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
        self.servers[0].client.wait(1, 5000)

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'{HOST}:{node.port}' for node in self.watchers)}/{SERVICE}"
