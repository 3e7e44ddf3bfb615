"""Why a test of one server is not run on a cluster, too."""

PROXY = "the proxy stands before one server; each node's wire is the one that was tested with it"
PER_NODE = "connections are counted for one server; a cluster has as many to each node, and asks another for the slots"
ONE_SLOT = "on a cluster the order of queues holds within a slot; tests/contract/cluster/test_cluster.py says what then"
ONE_SERVER = "asks the wire of one server; the same with a cluster's stands in tests/contract/cluster/test_cluster.py"
