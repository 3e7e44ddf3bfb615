"""The Flask service as a process of its own: what only it does, under load, without Redis, and how it ends."""

import json
import re
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice

import httpx
import pytest
import redis

from tests.support.proxy import FaultyProxy
from tests.support.services import USER, messages, serving
from tests.support.states import wait_until

VIEWS = ("/signup", "/signup/sync")
JSON = {"content-type": "application/json"}
THREADS = 8
BODY = json.dumps(USER).encode()


@pytest.fixture
def service(redis_url):
    with serving("flask", redis_url) as started:
        yield started


def post(url, **options):
    return httpx.post(url, trust_env=False, timeout=30, **options)


def producers(client):
    """Connections of the services to Redis."""
    return [row for row in client.client_list() if row["name"] == "asyncq:producer"]


def test_one_sentence_comes_when_a_request_is_no_sign_up(service, raw_redis):
    faults = [
        (400, "Invalid JSON: ", {"content": b'{"email": ', "headers": JSON}),
        (400, "Invalid JSON: ", {"content": b"", "headers": JSON}),
        (400, "Invalid JSON: ", {"content": b"[" * 60_000, "headers": JSON}),
        (400, "Invalid JSON: ", {"content": b'{"name": "\xff"}', "headers": JSON}),
        (413, "", {"content": b" " * 65_537, "headers": JSON}),
        (415, "expected the content type application/json, found another", {
            "content": BODY, "headers": {"content-type": "text/plain"}
        }),
        (415, "expected the content type application/json, found another", {"content": BODY}),
        (415, "expected the content type application/json, found another", {"data": USER}),
    ]  # fmt: skip
    for view in VIEWS:
        for code, sentence, request in faults:
            answer = post(service.url + view, **request)

            assert (answer.status_code, answer.headers["content-type"]) == (code, "application/json"), sentence
            detail = answer.json()["detail"]
            assert detail.startswith(sentence)
            assert "\n" not in detail
            assert "<" not in answer.text
    assert raw_redis.llen("task_queue") == 0
    assert service.end() == (0, f"Serving on {service.url}\n")


def test_json_comes_instead_of_a_page_when_there_is_no_such_route(service):
    found = {
        (method, path): httpx.request(method, service.url + path, trust_env=False)
        for method, path in (("GET", "/"), ("GET", "/signup"), ("DELETE", "/signup/sync"))
    }

    assert [answer.status_code for answer in found.values()] == [404, 405, 405]
    assert all(set(answer.json()) == {"detail"} for answer in found.values())
    assert set(found["GET", "/signup"].headers["allow"].split(", ")) == {"OPTIONS", "POST"}


def test_no_traceback_is_shown_when_the_service_itself_is_wrong(redis_url, monkeypatch):
    monkeypatch.setenv("ASYNCQ_MAX_MESSAGE_BYTES", "-1")
    with serving("flask", redis_url) as service:
        answers = [post(service.url + view, json=USER) for view in VIEWS]

    for answer in answers:
        assert answer.status_code == 500
        assert "Traceback" not in answer.text
        assert answer.json()["detail"].startswith("The server encountered an internal error")


def test_every_sign_up_is_one_message_when_many_come_at_once(service, raw_redis):
    connected_before = raw_redis.info()["total_connections_received"]

    def signed_up(number, view):
        user = {**USER, "email": f"user{number}@example.com"}
        answer = client.post(view, json=user)
        assert answer.status_code == 202, answer.text
        return user["email"], answer.json()["event_id"], answer.json()["task_id"]

    with ThreadPoolExecutor(THREADS) as pool, httpx.Client(base_url=service.url, trust_env=False, timeout=30) as client:
        accepted = list(pool.map(signed_up, range(200), islice(cycle(VIEWS), 200)))

    enqueued = [(each["payload"]["email"], each["payload"]["event_id"], each["id"]) for each in messages(raw_redis)]
    assert len(set(enqueued)) == 200
    assert sorted(accepted) == sorted(enqueued)
    # One connection for each call of the async view, which ends with it; of the other at most one per thread.
    wait_until(lambda: len(producers(raw_redis)) <= THREADS, what="connections are closed")
    assert len(producers(raw_redis)) >= 1
    made = raw_redis.info()["total_connections_received"] - connected_before
    assert 100 + 1 <= made <= 100 + THREADS
    assert service.end() == (0, f"Serving on {service.url}\n")
    wait_until(lambda: producers(raw_redis) == [], what="connections are closed")


@contextmanager
def running_redis(binary, path):
    """A server on this socket while the block runs; its data dies with it."""
    command = [binary, "--port", "0", "--unixsocket", path, "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server, redis.Redis(unix_socket_path=path) as client:
        try:
            wait_until(lambda: answers(client))
            yield client
        finally:
            server.kill()


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


def test_users_are_taken_again_when_redis_comes_back(redis_server, tmp_path):
    path = str(tmp_path / "redis.sock")
    with serving("flask", f"unix://{path}") as service:

        def codes():
            return [post(service.url + view, json=USER).status_code for view in VIEWS]

        assert codes() == [503, 503]
        for _ in range(2):  # the second time a connection that broke is still in the hands of the client
            with running_redis(redis_server, path) as client:
                assert codes() == [202, 202]
                assert len(messages(client)) == 2
            assert codes() == [503, 503]
        assert service.end() == (0, f"Serving on {service.url}\n")


@pytest.mark.parametrize("view", VIEWS)
async def test_user_is_told_that_it_is_not_sure_when_the_reply_is_lost(redis_socket, redis_url, raw_redis, view):
    async with FaultyProxy(redis_socket) as proxy, httpx.AsyncClient(trust_env=False, timeout=30) as client:
        with serving("flask", proxy.url) as service:  # it does not speak to Redis before the first request
            proxy.lose_reply_to = b"RPUSH"
            answer = await client.post(service.url + view, json=USER)

    assert answer.status_code == 503
    assert answer.json() == {"detail": "The sign-up could not be confirmed: Redis did not answer in time."}
    assert len(messages(raw_redis)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_request_under_way_is_answered_when_the_service_is_told_to_end(service, raw_redis, number):
    host, port = re.fullmatch(r"http://(.+):(\d+)", service.url).groups()
    head = f"POST /signup/sync HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")  # the server is in the middle of it
        service.process.send_signal(number)
        wait_until(lambda: refuses(host, int(port)), what="no new request is taken")
        connection.sendall(BODY)
        answer = b"".join(iter(lambda: connection.recv(10_000), b""))

    assert b"HTTP/1.1 202 " in answer
    assert service.process.wait(20) == 0
    assert service.said.read_text() == f"Serving on {service.url}\n"
    assert len(messages(raw_redis)) == 1


def refuses(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it was closed while we were let in: look again
        return False
    return False
