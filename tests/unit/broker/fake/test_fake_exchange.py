"""tests/contract/test_registration_exchange.py on fakeredis."""

from tests.contract import test_registration_exchange
from tests.support.fake_redis import FULL, SHA1HEX, STATISTICS, on_fake

globals().update(
    on_fake(
        test_registration_exchange,
        {
            "test_one_round_trip_carries_everything_when_the_batch_is_mixed": STATISTICS,
            "test_oversized_is_counted_and_not_shipped_when_above_the_limit": SHA1HEX,
            "test_worker_drains_when_redis_is_at_maxmemory": FULL,
            "test_dead_are_reaped_and_others_enter_when_redis_is_at_maxmemory": FULL,
        },
    )
)
