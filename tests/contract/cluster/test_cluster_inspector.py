"""tests/contract/test_inspector.py on a cluster."""

from tests.contract import test_inspector
from tests.support.again import once_more

globals().update(once_more(test_inspector))
