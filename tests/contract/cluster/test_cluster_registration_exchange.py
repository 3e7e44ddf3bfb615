"""tests/contract/test_registration_exchange.py on a cluster."""

from tests.contract import test_registration_exchange
from tests.contract.cluster.on_cluster import on_cluster

globals().update(on_cluster(test_registration_exchange))
