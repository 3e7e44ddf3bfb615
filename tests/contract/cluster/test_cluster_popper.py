"""tests/contract/test_popper.py on a cluster."""

from tests.contract import test_popper
from tests.contract.cluster.left_out import ONE_SLOT
from tests.support.again import once_more

globals().update(
    once_more(
        test_popper,
        {
            "test_first_queue_is_served_first_when_both_hold_messages": ONE_SLOT,
        },
    )
)
