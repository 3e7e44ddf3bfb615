"""tests/contract/test_popper.py on a cluster."""

from tests.contract import test_popper
from tests.support.again import once_more

globals().update(once_more(test_popper))
