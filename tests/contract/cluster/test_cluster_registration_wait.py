"""tests/contract/test_registration_wait.py on a cluster."""

from tests.contract import test_registration_wait
from tests.contract.cluster.left_out import PROXY
from tests.support.again import once_more

globals().update(
    once_more(
        test_registration_wait,
        {
            "test_redis_is_asked_ever_more_rarely_when_the_request_to_block_never_arrives": PROXY,
        },
    )
)
