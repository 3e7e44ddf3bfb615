"""tests/contract/test_registration_exchange.py on a cluster."""

from tests.contract import test_registration_exchange
from tests.support.again import once_more

globals().update(once_more(test_registration_exchange))
