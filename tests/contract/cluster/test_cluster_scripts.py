"""The tests of every script, tests/lua/test_lua_<name>.py, on a cluster."""

from importlib import import_module

from asyncq.broker.scripts import NAMES
from tests.support.again import once_more

for _name in NAMES:
    globals().update(once_more(import_module(f"tests.lua.test_lua_{_name}"), prefix=_name))
