"""tests/contract/test_broker_maintenance.py on fakeredis."""

from tests.contract import test_broker_maintenance
from tests.support.fake_redis import SHA1HEX, WAITING, on_fake

globals().update(
    on_fake(
        test_broker_maintenance,
        {
            "test_due_bell_rings_when_something_becomes_the_earliest": WAITING,
            "test_due_bell_of_each_queue_rings_for_itself_when_several_wait": WAITING,
            "test_only_the_culprit_is_held_to_account_when_a_process_hung": SHA1HEX,
            "test_due_bell_ends_at_once_when_it_may_last_no_time": WAITING,
        },
    )
)
