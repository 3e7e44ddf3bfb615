"""Short forms: Redis goes away, refuses, or cannot be reached."""

from tests.chaos import (
    redis_trouble_network,
    redis_trouble_partition,
    redis_trouble_restart,
    redis_trouble_states,
)
from tests.chaos.short import short_forms

test_network = short_forms(redis_trouble_network, without=("bar-proxy", "bar-proxy-most", "poison-proxy"))  # 20 s each
test_partition = short_forms(redis_trouble_partition)
test_restart = short_forms(redis_trouble_restart)
test_states = short_forms(redis_trouble_states, without=("T22",))  # contract/test_durability.py sees the same
