"""The tests of every script, tests/lua/test_lua_<name>.py, on fakeredis."""

from importlib import import_module

from asyncq.broker.scripts import NAMES
from tests.support.fake_redis import FULL, SHA1HEX, on_fake

REAL_ONLY = {
    "enqueue": {"test_nothing_is_enqueued_and_no_guard_left_when_redis_is_at_its_limit": FULL},
    "promote": {"test_due_ones_move_when_redis_is_at_maxmemory": FULL},
    "take": {
        "test_oversized_becomes_a_dead_letter_when_above_the_limit": SHA1HEX,
        "test_two_oversized_stay_two_when_taken_at_once": SHA1HEX,
    },
}

for _name in NAMES:
    globals().update(on_fake(import_module(f"tests.lua.test_lua_{_name}"), REAL_ONLY.get(_name), _name))
