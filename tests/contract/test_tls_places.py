"""rediss+sentinel:// and rediss+cluster://: sentinels, servers and nodes that speak TLS."""

from collections.abc import Iterator

import pytest

from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.failures import NotSentError
from asyncq.broker.producer import Producer
from asyncq.broker.redis_sync import SyncProducer
from tests.support.nodes import HOST, Node, Nodes, free_port
from tests.support.states import wait_until
from tests.support.tls import TlsServer

SLOTS = 16384


@pytest.fixture
def nodes(tls: TlsServer) -> Iterator[Nodes]:
    with Nodes(tls.binary) as made:
        yield made


def speaking_tls(tls: TlsServer, port: int) -> list[str]:
    files = tls.files
    names = [f"tls-cert-file {files.server}", f"tls-key-file {files.server}", f"tls-ca-cert-file {files.ca}"]
    return [*names, "tls-auth-clients no", f"tls-port {port}", 'save ""']


async def push(url: str) -> None:
    producer, sync = Producer(ConnectionSettings(url)), SyncProducer(ConnectionSettings(url))
    await producer.push("q", b"a")
    sync.push("q", b"b")
    await producer.close()
    sync.close()


async def test_sentinels_and_master_speak_tls(tls: TlsServer, nodes: Nodes) -> None:
    port, watched = free_port(), free_port()
    master = nodes.start("master", speaking_tls(tls, watched))
    master.wait_ready()
    told = [*speaking_tls(tls, port)[:-1], "tls-replication yes", f"sentinel monitor main {HOST} {watched} 1"]
    nodes.start("sentinel", told, "--sentinel").wait_ready()
    await push(f"rediss+sentinel://{HOST}:{port}/main?ssl_ca_certs={tls.files.ca}")
    assert master.client.lrange("q", 0, -1) == [b"a", b"b"]
    producer = Producer(ConnectionSettings(f"rediss+sentinel://{HOST}:{port}/main?ssl_ca_certs={tls.files.other_ca}"))
    with pytest.raises(NotSentError, match=r"none of its sentinels answers.*check ssl_ca_certs and the name"):
        await producer.push("q", b"c")


async def test_nodes_of_a_cluster_speak_tls(tls: TlsServer, nodes: Nodes) -> None:
    port, bus = free_port(), free_port()
    config = [*speaking_tls(tls, port), "tls-cluster yes", "cluster-enabled yes", f"cluster-port {bus}"]
    node = nodes.start("node", config)
    node.wait_ready()
    node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
    wait_until(lambda: is_serving(node), what="the cluster of one node serves")
    await push(f"rediss+cluster://{HOST}:{port}?ssl_ca_certs={tls.files.ca}")
    assert node.client.lrange("q", 0, -1) == [b"a", b"b"]


def is_serving(node: Node) -> bool:
    return "cluster_state:ok" in str(node.client.execute_command("CLUSTER", "INFO"))
