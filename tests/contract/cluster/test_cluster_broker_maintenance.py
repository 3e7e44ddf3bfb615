"""tests/contract/test_broker_maintenance.py on a cluster."""

from tests.contract import test_broker_maintenance
from tests.contract.cluster.on_cluster import on_cluster

globals().update(on_cluster(test_broker_maintenance))
