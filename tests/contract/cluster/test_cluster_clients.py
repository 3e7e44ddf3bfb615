"""tests/contract/test_clients.py on a cluster."""

from tests.contract import test_clients
from tests.contract.cluster.on_cluster import PER_NODE, PROXY, on_cluster

globals().update(
    on_cluster(test_clients, {"test_one_sync_client_works_in_many_threads": PER_NODE, "TestRetrySafe": PROXY})
)
