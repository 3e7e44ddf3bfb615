"""From all three routes to all three channels: both services, a real worker and the sinks."""

import httpx
import pytest

from asyncq.broker.keys import queue_keys
from examples.signup.ledger import CHANNELS, Ledger
from examples.signup.sink import running_sinks
from tests.support.commands import NOBODY, start_asyncq
from tests.support.services import ROOT, USER, serving
from tests.support.states import until


@pytest.fixture
async def sinks(monkeypatch):
    async with running_sinks(Ledger()) as started:
        monkeypatch.setenv("SIGNUP_SMTP", f"127.0.0.1:{started.smtp_port}")
        monkeypatch.setenv("SIGNUP_HTTP", f"http://127.0.0.1:{started.http_port}")
        yield started


@pytest.fixture
def worker(sinks, redis_url):
    """One that is told its Redis by a flag: what its handlers enqueue must go there, too."""
    process = start_asyncq("worker", "--redis", redis_url, folder=ROOT, ASYNCQ_REDIS_URL=NOBODY)
    yield process
    process.kill()
    process.communicate()


async def test_sign_ups_of_every_route_arrive_on_every_channel_when_a_worker_runs(sinks, worker, redis_url, raw_redis):
    with serving("api", redis_url) as api, serving("flask", redis_url) as flask:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            urls = (f"{api.url}/signup", f"{flask.url}/signup", f"{flask.url}/signup/sync")
            answers = [await client.post(url, json=USER) for url in urls]
        event_ids = {answer.json()["event_id"] for answer in answers}
        assert len(event_ids) == 3
        ledger = sinks.ledger
        await until(
            lambda: all(not ledger.missing(channel, event_ids) for channel in CHANNELS) or worker.poll() is not None,
            timeout_s=30,
            what="every delivery",
        )

    worker.terminate()
    _, said = worker.communicate(timeout=30)
    assert worker.returncode == 0, said
    assert {channel: ledger.deliveries(channel) for channel in CHANNELS} == dict.fromkeys(CHANNELS, 3)
    assert raw_redis.llen("task_queue") == 0
    assert not raw_redis.exists(queue_keys("task_queue").dead)
