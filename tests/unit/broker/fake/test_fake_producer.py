"""tests/contract/test_producer.py on fakeredis."""

from tests.contract import test_producer
from tests.support.fake_redis import CUT, FULL, STATISTICS, on_fake

globals().update(
    on_fake(
        test_producer,
        {
            "test_one_command_carries_a_thousand_when_many_are_pushed": STATISTICS,
            "test_outcome_is_unknown_and_nothing_is_sent_again_when_the_reply_is_lost": CUT,
            "test_error_tells_how_many_were_accepted_when_it_fails_in_the_middle": CUT,
            "test_error_says_that_nothing_happened_when_nobody_listens": "fakeredis answers at every address",
            "test_push_is_put_off_when_redis_is_full": FULL,
            "test_connection_is_replaced_when_redis_closed_it_while_idle": CUT,
            "test_child_opens_its_own_connection_when_the_process_forks": "a forked child writes into a copy",
        },
    )
)
