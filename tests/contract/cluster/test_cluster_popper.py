"""tests/contract/test_popper.py on a cluster."""

from tests.contract import test_popper
from tests.contract.cluster.on_cluster import on_cluster

globals().update(on_cluster(test_popper))
