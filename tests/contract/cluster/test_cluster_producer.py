"""tests/contract/test_producer.py on a cluster."""

from tests.contract import test_producer
from tests.contract.cluster.left_out import ONE_SERVER, PER_NODE, PROXY
from tests.support.again import once_more

globals().update(
    once_more(
        test_producer,
        {
            "test_outcome_is_unknown_and_nothing_is_sent_again_when_the_reply_is_lost": PROXY,
            "test_error_tells_how_many_were_accepted_when_it_fails_in_the_middle": PROXY,
            "test_pushes_share_a_few_connections_when_many_run_at_once": PER_NODE,
            "test_child_opens_its_own_connection_when_the_process_forks": ONE_SERVER,
        },
    )
)
