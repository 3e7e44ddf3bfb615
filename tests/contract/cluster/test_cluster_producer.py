"""tests/contract/test_producer.py on a cluster."""

from tests.contract import test_producer
from tests.contract.cluster.on_cluster import ONE_SERVER, PER_NODE, on_cluster

globals().update(
    on_cluster(
        test_producer,
        {
            "test_pushes_share_a_few_connections_when_many_run_at_once": PER_NODE,
            "test_child_opens_its_own_connection_when_the_process_forks": ONE_SERVER,
        },
    )
)
