"""`python -m examples.signup` as a process: the whole story, and each way it can end."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from asyncq.core.registry import default_registry
from examples.signup.ledger import is_flaky
from examples.signup.make_events import EVENTS_FILE
from examples.signup.outgoing import close_outgoing
from examples.signup.push import read_events
from tests.support.states import until

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "examples.signup"]
FREE_PORTS = ["--smtp-port", "0", "--http-port", "0"]


def run(*args, redis_url="redis://127.0.0.1:1"):
    environment = {**os.environ, "ASYNCQ_REDIS_URL": redis_url}
    return subprocess.run([*COMMAND, *args], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_events_lie_in_the_queue_in_order_when_pushed(redis_url, raw_redis):
    done = run("push", "--redis", redis_url, "--count", "30")

    assert (done.returncode, done.stdout, done.stderr) == (0, "Enqueued 30 events.\n", "")
    messages = [json.loads(raw) for raw in raw_redis.lrange("task_queue", 0, -1)]
    assert [message["payload"] for message in messages] == read_events(EVENTS_FILE, 30)
    assert {message["name"] for message in messages} == {"user_signup"}


def test_exit_is_1_and_the_missing_are_named_when_no_worker_runs(redis_url):
    done = run("--count", "3", "--timeout", "1", *FREE_PORTS, redis_url=redis_url)

    assert done.returncode == 1
    assert "email 0/3  analytics 0/3  crm 0/3" in done.stdout
    lines = done.stderr.splitlines()
    assert lines[0] == "Not everything had arrived after 1 s."
    assert [line.split(":")[0] for line in lines[1:]] == ["email", "analytics", "crm"]
    assert all("3 of 3 events missing" in line for line in lines[1:])


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ([], "--smtp-port"),
        ([], "--http-port"),
        (["sink"], "--smtp-port"),
        (["sink"], "--http-port"),
        (["api"], "--port"),
        (["flask"], "--port"),
    ],
)
def test_exit_is_73_with_one_sentence_when_a_port_is_busy(command, option):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        done = run(*command, *([] if option == "--port" else FREE_PORTS), option, str(port))

    assert done.returncode == 73
    assert re.fullmatch(rf"cannot listen on 127.0.0.1:{port} \(.+\); end what uses it .+ with {option}\n", done.stderr)


def test_exit_is_69_with_one_sentence_when_redis_is_unreachable():
    done = run("push", "--count", "1")

    assert (done.returncode, done.stderr.count("\n")) == (69, 1), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["push", "--count", "6000"], "--count: expected at most 5000, "),
        (["push", "--file", "nowhere.jsonl"], "--file nowhere.jsonl: expected a readable UTF-8 file"),
        (["sink", "--host", "192.0.2.1"], "--host: expected an IPv4 address of this machine, found '192.0.2.1'"),
        (["sink", "--host", "::1"], "--host: expected an IPv4 address of this machine, found '::1'"),
        (["api", "--host", "192.0.2.1"], "--host: expected an IPv4 address of this machine, found '192.0.2.1'"),
        (["flask", "--host", "192.0.2.1"], "--host: expected an IPv4 address of this machine, found '192.0.2.1'"),
        (["sink", "--record", "/nowhere/at/all"], "--record /nowhere/at/all: cannot be written"),
    ],
)
def test_exit_is_2_with_one_sentence_when_an_option_is_wrong(args, sentence):
    done = run(*args)

    assert done.returncode == 2
    assert sentence in done.stderr


def test_sink_tells_its_counts_when_it_is_ended():
    with subprocess.Popen(
        [*COMMAND, "sink", *FREE_PORTS], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as sink:
        http_port = re.search(r"HTTP (\d+)", sink.stdout.readline()).group(1)
        headers = {"X-Event-Id": "e-1"}
        httpx.post(f"http://127.0.0.1:{http_port}/analytics", json={}, headers=headers, trust_env=False)
        sink.send_signal(signal.SIGTERM)
        out, err = sink.communicate(timeout=20)

    assert (sink.returncode, err) == (0, "")
    assert json.loads(out)["analytics"] == {"deliveries": 1, "distinct": 1}


async def consume(queue, until_done):
    """A worker of a few lines: runs what lies in the queue, puts back what failed."""
    while True:
        raw = await until(lambda: queue.lpop("task_queue") or until_done(), timeout_s=60)
        if raw is True:
            return
        message = json.loads(raw)
        try:
            await default_registry[message["name"]](message["payload"])
        except httpx.HTTPStatusError:
            queue.rpush("task_queue", raw)


@contextmanager
def running_story(*args):
    """The whole story as a process, killed if the test does not see it through."""
    command = [*COMMAND, *args]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as story:
        try:
            yield story
        finally:
            story.kill()  # harmless when it has ended


async def test_exit_is_0_with_a_summary_when_everything_has_arrived(redis_url, raw_redis, tmp_path, monkeypatch):
    flaky = sum(is_flaky(event["event_id"]) for event in read_events(EVENTS_FILE, 40))
    record = tmp_path / "record.jsonl"
    args = ["--redis", redis_url, "--count", "40", "--timeout", "40", "--record", str(record), *FREE_PORTS]
    with running_story(*args) as story:
        ports = re.search(r"SMTP (\d+), HTTP (\d+)", story.stdout.readline())
        monkeypatch.setenv("SIGNUP_SMTP", f"127.0.0.1:{ports.group(1)}")
        monkeypatch.setenv("SIGNUP_HTTP", f"http://127.0.0.1:{ports.group(2)}")
        monkeypatch.setenv("ASYNCQ_REDIS_URL", redis_url)
        async with asyncio.timeout(60):
            await consume(raw_redis, lambda: story.poll() is not None)
        await close_outgoing()
        out, err = story.communicate()

    assert (story.returncode, err) == (0, "")
    last = out.splitlines()[-1]
    assert last.startswith("All 40 events arrived on all 3 channels: 120 deliveries in ")
    assert last.endswith(f"0 of them duplicates; {flaky} refusals were retried.")
    assert flaky > 0
    assert len(record.read_text().splitlines()) == 120
