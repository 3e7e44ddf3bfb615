"""tests/contract/test_registration_wait.py on a cluster."""

from tests.contract import test_registration_wait
from tests.contract.cluster.on_cluster import on_cluster

globals().update(on_cluster(test_registration_wait))
