"""What the handlers make of an event, without any I/O: checks, content, fan-out, addresses."""

import re
from pathlib import Path

import pytest

from asyncq import Discard
from asyncq.core.codec import decode
from asyncq.core.errors import ConfigurationError
from asyncq.core.registry import default_registry
from examples.signup import content, tasks
from examples.signup.event import problem_with, stamp
from examples.signup.settings import read_downstreams

EVENT = {"event_id": "e-1", "email": "zoe@example.com", "name": "Zoë Lefèvre", "locale": "fr-CA", "plan": "team"}


@pytest.mark.parametrize(
    ("sentence", "event"),
    [
        (None, EVENT),
        (None, {"event_id": "x", "email": "a+b@example.org", "name": "王伟"}),
        ("expected the payload to be an object, found list", []),
        ("expected 'event_id' to be a text, found None", {}),
        ("expected 'event_id' to be a text, found 7", {**EVENT, "event_id": 7}),
        ("expected 'event_id' in ASCII, found 'é'", {**EVENT, "event_id": "é"}),
        ("expected 'name' to be a text, found ''", {**EVENT, "name": ""}),
        (r"expected 'name' without control characters, found 'A\r\nBcc: b'", {**EVENT, "name": "A\r\nBcc: b"}),
        ("expected 'email' to be an address, found 'zoe'", {**EVENT, "email": "zoe"}),
        ("expected 'email' to be an address, found 'a b@example.com'", {**EVENT, "email": "a b@example.com"}),
    ],
)
def test_event_is_judged_when_it_is_checked(sentence, event):
    assert problem_with(event) == sentence


def test_time_is_written_as_utc_when_stamped():
    assert stamp(1_740_989_700.9) == "2025-03-03T08:15:00Z"


def test_mail_speaks_the_language_and_names_the_event_when_built():
    mail = content.welcome_email(EVENT, "agent pid=1")

    assert mail["Subject"] == "Bienvenue, Zoë Lefèvre!"
    assert mail["To"].addresses[0].addr_spec == "zoe@example.com"
    assert mail["To"].addresses[0].display_name == "Zoë Lefèvre"
    assert mail["X-Event-Id"] == "e-1"
    assert mail["Message-ID"] == "<e-1@signup.example.com>"
    assert mail["X-Mailer"] == "agent pid=1"
    assert "Plan: team" in mail.get_content()
    assert mail.as_bytes().isascii()


def test_greeting_is_english_when_the_language_is_unknown():
    assert (content.greeting("de-AT"), content.greeting("xx")) == ("Willkommen", "Welcome")


def test_nothing_personal_goes_to_analytics_when_tracked():
    record = content.analytics_record(EVENT)

    assert record["event_id"] == "e-1"
    assert (record["plan"], record["source"]) == ("team", "direct")
    assert not {"email", "name"} & set(record)


def test_crm_learns_who_it_is_when_notified():
    record = content.crm_record(EVENT)

    assert record == {
        "event_id": "e-1",
        "user_id": None,
        "email": "zoe@example.com",
        "name": "Zoë Lefèvre",
        "company": None,
        "plan": "team",
    }


@pytest.fixture
def enqueued(monkeypatch):
    """What the tasks enqueue, instead of Redis: one list for each call."""
    seen = []

    async def enqueue_many(envelopes):
        seen.append([(each.queue, each.message["name"], each.message["payload"]) for each in envelopes])

    monkeypatch.setattr(tasks.client, "enqueue_many", enqueue_many)
    return seen


async def test_three_messages_are_enqueued_when_a_user_signs_up(enqueued):
    await tasks.process_signup(EVENT)

    assert enqueued == [
        [
            ("task_queue", "send_welcome_email", EVENT),
            ("task_queue", "track_signup", EVENT),
            ("task_queue", "notify_crm", EVENT),
        ]
    ]


async def test_event_is_discarded_when_it_can_never_be_delivered(enqueued):
    with pytest.raises(Discard, match="expected 'email' to be an address, found 'nobody'"):
        await tasks.process_signup({**EVENT, "email": "nobody"})

    assert enqueued == []


def test_every_delivery_is_a_task_when_the_app_is_loaded():
    assert [each.name for each in tasks.DELIVERIES] == ["send_welcome_email", "track_signup", "notify_crm"]
    for each in (tasks.process_signup, *tasks.DELIVERIES):
        assert default_registry[each.name] is each
        assert each.queue == "task_queue"
        each.check()
        assert each.read is None  # a plain dict, see event.py


def test_addresses_are_on_this_machine_when_nothing_is_set():
    addresses = read_downstreams({})

    assert (addresses.smtp_host, addresses.smtp_port) == ("127.0.0.1", 8025)
    assert (addresses.http_url, addresses.http_port) == ("http://127.0.0.1:8026", 8026)


def test_addresses_come_from_the_environment_when_set():
    addresses = read_downstreams({"SIGNUP_SMTP": "mail:25", "SIGNUP_HTTP": "https://hooks.example.com/"})

    assert (addresses.smtp_host, addresses.smtp_port) == ("mail", 25)
    assert (addresses.http_url, addresses.http_port) == ("https://hooks.example.com", 443)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SIGNUP_SMTP", "mail"),
        ("SIGNUP_SMTP", "mail:smtp"),
        ("SIGNUP_SMTP", "mail:70000"),
        ("SIGNUP_HTTP", "hooks:8026"),
        ("SIGNUP_HTTP", "http://hooks:port"),
    ],
)
def test_one_sentence_comes_when_an_address_is_wrong(variable, value):
    with pytest.raises(ConfigurationError, match=f"^{variable}: expected .* found '{value}'$"):
        read_downstreams({variable: value})


def test_redis_cli_line_is_a_good_message_when_copied_from_the_readme():
    readme = Path(tasks.__file__).with_name("README.md").read_text(encoding="utf-8")
    lines = re.findall(r"redis-cli RPUSH (\S+) '(.*)'", readme)

    assert len(lines) == 1
    queue, raw = lines[0]
    message = decode(raw.encode())
    assert (queue, message.name) == (tasks.QUEUE, "user_signup")
    assert problem_with(message.payload) is None
