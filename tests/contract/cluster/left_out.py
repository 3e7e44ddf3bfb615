"""Why a test of one server is not run on a cluster, too."""

PROXY = "the proxy stands before one server; each node's wire is the one that was tested with it"
PER_NODE = "connections are counted for one server; a cluster has as many to each node, and asks another for the slots"
ONE_SERVER = "asks the wire of one server; clients fork on a cluster in test_cluster_clients.py"
