"""The example's three routes, on FastAPI and on Flask, as processes of their own: the same answers from each."""

import socket
import time
from uuid import UUID

import httpx
import pytest
import redis

from examples.signup.event import problem_with
from tests.support.services import USER, messages, serving

ROUTES = [("api", "/signup"), ("flask", "/signup"), ("flask", "/signup/sync")]


@pytest.fixture(scope="module")
def services(redis_socket):
    with serving("api", f"unix://{redis_socket}") as api, serving("flask", f"unix://{redis_socket}") as flask:
        yield {"api": api, "flask": flask}


@pytest.fixture
def redis_url(redis_socket):
    """As in every test, but the services of this module keep their connections from one test to the next."""
    with redis.Redis(unix_socket_path=redis_socket) as client:
        client.flushall()
    return f"unix://{redis_socket}"


@pytest.fixture(params=ROUTES, ids=lambda route: " ".join(route))
def post(request, services, redis_url):
    """Posts JSON to one of the routes; the queue is empty."""
    kind, path = request.param
    with httpx.Client(base_url=services[kind].url, trust_env=False, timeout=20) as client:
        yield lambda body: client.post(path, json=body)


def test_one_event_is_enqueued_when_a_user_signs_up(post, raw_redis):
    before = time.time()

    answer = post(USER)

    assert answer.status_code == 202, answer.text
    [message] = messages(raw_redis)
    assert set(message) == {"id", "name", "payload", "timestamp"}
    assert message["name"] == "user_signup"
    assert before - 1 <= message["timestamp"] <= time.time() + 1
    event = message["payload"]
    assert answer.json() == {"event_id": event["event_id"], "task_id": message["id"]}
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
        ("name", ["Zoë"]),
        ("plan", "golden"),
        ("utm", {f"field-{number}": "x" for number in range(21)}),
    ],
)
def test_nothing_is_enqueued_when_a_field_is_wrong(post, raw_redis, field, value):
    answer = post({**USER, field: value})

    assert answer.status_code == 422
    [fault] = answer.json()["detail"]
    assert set(fault) == {"type", "loc", "msg"}
    assert fault["loc"] == ["body", field]
    assert raw_redis.llen("task_queue") == 0


def test_both_missing_fields_are_named_when_the_body_is_empty(post, raw_redis):
    answer = post({})

    assert answer.status_code == 422
    assert answer.json() == {
        "detail": [{"type": "missing", "loc": ["body", field], "msg": "Field required"} for field in ("email", "name")]
    }
    assert raw_redis.llen("task_queue") == 0


def test_nothing_that_was_sent_is_repeated_when_a_field_is_wrong(post):
    answer = post({"name": "hunter2", "email": "hunter2", "plan": "hunter2", "utm": {"a": "hunter2\n2"}})

    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["detail"]] == [
        ["body", "email"],
        ["body", "plan"],
        ["body", "utm", "a"],
    ]
    assert "hunter2" not in answer.text


def test_a_text_that_is_no_unicode_is_refused_when_sent(services, redis_url, raw_redis):
    body = b'{"email": "zoe@example.com", "name": "\\ud800"}'
    headers = {"content-type": "application/json"}

    codes = {
        (kind, path): httpx.post(services[kind].url + path, content=body, headers=headers, trust_env=False).status_code
        for kind, path in ROUTES
    }

    assert codes == {("api", "/signup"): 422, ("flask", "/signup"): 400, ("flask", "/signup/sync"): 400}
    assert raw_redis.llen("task_queue") == 0


@pytest.mark.parametrize("kind", ["api", "flask"])
def test_health_is_ok_when_the_process_runs(services, kind):
    answer = httpx.get(f"{services[kind].url}/healthz", trust_env=False)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(("kind", "paths"), [("api", ["/signup"]), ("flask", ["/signup", "/signup/sync"])])
def test_one_sentence_and_503_come_when_redis_is_unreachable(kind, paths):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"redis://:hunter2@127.0.0.1:{unused.getsockname()[1]}"
        with serving(kind, url) as service:
            answers = [httpx.post(service.url + path, json=USER, timeout=20, trust_env=False) for path in paths]
            said = service.said.read_text()

    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["detail"].startswith("The sign-up was not accepted, please try again later: ")
        assert "hunter2" not in answer.text
    assert "Traceback" not in said
    assert "hunter2" not in said
