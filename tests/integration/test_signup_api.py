"""The example's service as a process of its own, with a real Redis and without one."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx
import pytest
import redis

from examples.signup.event import problem_with

ROOT = Path(__file__).resolve().parents[2]
USER = {"email": "zoe@example.com", "name": "Zoë Lefèvre", "plan": "team", "source": "partner"}


@contextmanager
def serving(redis_url):
    """The base URL of `python -m examples.signup api` while it runs on a free port."""
    command = [sys.executable, "-m", "examples.signup", "--redis", redis_url, "api", "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            found = re.search(r"Serving on (http://\S+)", line)
            if found:
                break
        else:
            pytest.fail("the service did not start: " + "".join(lines))
        yield found.group(1)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def service(redis_socket):
    with serving(f"unix://{redis_socket}") as url:
        yield url


@pytest.fixture
def redis_url(redis_socket):
    """As in every test, but the service of this module keeps its connection from one test to the next."""
    with redis.Redis(unix_socket_path=redis_socket) as client:
        client.flushall()
    return f"unix://{redis_socket}"


@pytest.fixture
def api(service, redis_url):
    """A client of the service; the queue is empty."""
    with httpx.Client(base_url=service, trust_env=False) as client:
        yield client


def test_one_event_is_enqueued_when_a_user_signs_up(api, raw_redis):
    before = time.time()

    answer = api.post("/signup", json=USER)

    assert answer.status_code == 202, answer.text
    messages = [json.loads(raw) for raw in raw_redis.lrange("task_queue", 0, -1)]
    assert len(messages) == 1
    assert messages[0]["name"] == "user_signup"
    assert before - 1 <= messages[0]["timestamp"] <= time.time() + 1
    event = messages[0]["payload"]
    assert answer.json() == {"event_id": event["event_id"], "task_id": messages[0]["id"]}
    assert UUID(event["event_id"]).version == 4
    assert {key: event[key] for key in USER} == USER
    assert problem_with(event) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "zoe"),
        ("email", "zoe@example"),
        ("email", "a b@example.com"),
        ("name", ""),
        ("name", "  "),
        ("name", "A\r\nBcc: b@example.com"),
        ("name", "A\u2028B"),
        ("name", "x" * 201),
        ("plan", "golden"),
    ],
)
def test_nothing_is_enqueued_when_a_field_is_wrong(api, raw_redis, field, value):
    answer = api.post("/signup", json={**USER, field: value})

    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", field]]
    assert raw_redis.llen("task_queue") == 0


def test_health_is_ok_when_the_process_runs(api):
    assert api.get("/healthz").json() == {"status": "ok"}


def test_one_sentence_and_503_come_when_redis_is_unreachable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        port = unused.getsockname()[1]
        with serving(f"redis://127.0.0.1:{port}") as url:
            answer = httpx.post(f"{url}/signup", json=USER, timeout=20, trust_env=False)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["detail"].startswith("The sign-up was not accepted, please try again later: ")
