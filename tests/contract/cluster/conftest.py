"""Tests of tests/contract and tests/lua on a cluster of three nodes: fixtures of the same names lead there."""

import pytest
import redis

from asyncq.broker.connection import ConnectionSettings
from tests.contract.conftest import QUEUES, broker, register  # noqa: F401 - fixtures
from tests.support import acl
from tests.support.cluster import Cluster


@pytest.fixture
def redis_url(cluster: Cluster) -> str:
    return cluster.url


@pytest.fixture
def raw_redis(cluster: Cluster) -> redis.Redis:
    return cluster.client


@pytest.fixture
def settings(cluster: Cluster) -> ConnectionSettings:
    """Speaks as the documented worker with the rights that a cluster needs besides."""
    acl.make_users(cluster.client, *QUEUES, place="cluster")
    return ConnectionSettings(cluster.url_of("asyncq-worker", acl.PASSWORD))
