"""The tests of every script, tests/lua/test_lua_<name>.py, on a cluster."""

from importlib import import_module

from asyncq.broker.scripts import NAMES
from tests.contract.cluster.on_cluster import on_cluster

for _name in (*NAMES, "reap_blame", "reap_hang"):
    globals().update(on_cluster(import_module(f"tests.lua.test_lua_{_name}"), prefix=_name))
