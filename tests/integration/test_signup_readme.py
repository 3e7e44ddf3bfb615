"""The README's commands that start a service, and its requests to them, carried out as they stand there."""

import re
import shlex
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from examples.signup import __main__ as command
from examples.signup.event import problem_with
from tests.support.services import messages, serving

README = Path(command.__file__).with_name("README.md")


def command_lines():
    """What is to be typed into a shell: the indented lines, each as its words."""
    text = README.read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"^    (\./run .*|curl .*)$", text, re.MULTILINE)]


def request_of(words):
    """The port, path, header and body of a curl."""
    curl, post, method, url, header, content_type, data, body = words
    assert (curl, post, method, header, data) == ("curl", "-X", "POST", "-H", "-d")
    parts = urlsplit(url)
    return str(parts.port), parts.path, dict([content_type.split(": ")]), body


def test_every_request_of_the_readme_signs_up_one_user_when_sent(redis_url, raw_redis):
    lines = command_lines()
    kinds = {
        words[-1]: words[4]
        for words in lines
        if words[1:4] == ["python", "-m", "examples.signup"] and "--port" in words
    }
    requests = [request_of(words) for words in lines if words[0] == "curl"]

    assert kinds == {str(command.DEFAULT_API_PORT): "api", str(command.DEFAULT_FLASK_PORT): "flask"}
    assert sorted((kinds[port], path) for port, path, _, _ in requests) == [
        ("api", "/signup"),
        ("flask", "/signup"),
        ("flask", "/signup/sync"),
    ]
    with ExitStack() as stack:
        urls = {port: stack.enter_context(serving(kind, redis_url)).url for port, kind in kinds.items()}
        for port, path, headers, body in requests:
            answer = httpx.post(urls[port] + path, content=body, headers=headers, timeout=20, trust_env=False)
            assert answer.status_code == 202, answer.text
    enqueued = messages(raw_redis)
    assert len(enqueued) == len(requests)
    assert [problem_with(message["payload"]) for message in enqueued] == [None] * len(requests)
