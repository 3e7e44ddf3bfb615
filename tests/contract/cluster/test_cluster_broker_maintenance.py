"""tests/contract/test_broker_maintenance.py on a cluster."""

from tests.contract import test_broker_maintenance
from tests.support.again import once_more

globals().update(once_more(test_broker_maintenance))
