"""tests/contract/test_inspector.py on fakeredis."""

from tests.contract import test_inspector
from tests.support.fake_redis import on_fake

globals().update(on_fake(test_inspector))
