"""tests/contract/test_inspector.py on a cluster."""

from tests.contract import test_inspector
from tests.contract.cluster.on_cluster import on_cluster

globals().update(on_cluster(test_inspector))
