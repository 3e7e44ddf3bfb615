"""tests/contract/test_clients.py on a cluster."""

from tests.contract import test_clients
from tests.contract.cluster.left_out import PER_NODE, PROXY
from tests.support.again import once_more

globals().update(
    once_more(
        test_clients,
        {
            "test_one_sync_client_works_in_many_threads": PER_NODE,
            "TestRetrySafe": PROXY,
        },
    )
)
