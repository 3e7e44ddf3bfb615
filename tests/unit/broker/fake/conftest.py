"""Tests of tests/contract and tests/lua that do not block, on fakeredis: fixtures of the same names lead there."""

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from tests.contract.conftest import broker, register  # noqa: F401 - fixtures
from tests.support.fake_redis import ADDRESS, FakeRedisServer


@pytest.fixture
def redis_url(fake_redis: FakeRedisServer) -> str:
    return ADDRESS


@pytest.fixture
def raw_redis(fake_redis: FakeRedisServer) -> redis.Redis:
    return fake_redis.client


@pytest.fixture
def settings(fake_redis: FakeRedisServer) -> ConnectionSettings:
    return fake_redis.settings
