"""The example's handlers against its real sinks: SMTP and HTTP over sockets, in one loop."""

import asyncio
import json
import os
import socket

import aiosmtplib
import httpx
import pytest

from asyncq.core.errors import PortBusyError
from examples.signup import tasks
from examples.signup.ledger import Ledger, is_flaky
from examples.signup.make_events import EVENTS_FILE
from examples.signup.outgoing import SMTP_CONNECTIONS, close_outgoing, outgoing
from examples.signup.push import read_events
from examples.signup.sink import running_sinks
from tests.support.states import until

EVENTS = read_events(EVENTS_FILE, 60)
FLAKY = next(event for event in EVENTS if is_flaky(event["event_id"]))
STEADY = next(event for event in EVENTS if not is_flaky(event["event_id"]))


def point_handlers_at(monkeypatch, sinks):
    monkeypatch.setenv("SIGNUP_SMTP", f"127.0.0.1:{sinks.smtp_port}")
    monkeypatch.setenv("SIGNUP_HTTP", f"http://127.0.0.1:{sinks.http_port}")


@pytest.fixture
async def sinks(monkeypatch):
    """Running sinks on free ports that the handlers deliver to."""
    async with running_sinks(Ledger()) as started:
        point_handlers_at(monkeypatch, started)
        yield started
        await close_outgoing()


async def counts(sinks):
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{sinks.http_port}/counts")).json()


async def test_each_channel_counts_its_delivery_when_the_handlers_run(sinks):
    for deliver in tasks.DELIVERIES:
        await deliver(STEADY)

    assert await counts(sinks) == {
        "email": {"deliveries": 1, "distinct": 1},
        "analytics": {"deliveries": 1, "distinct": 1},
        "crm": {"deliveries": 1, "distinct": 1},
        "duplicates": 0,
        "flaky_refusals": 0,
    }
    assert [sinks.ledger.missing(channel, {STEADY["event_id"]}) for channel in ("email", "analytics", "crm")] == [
        set(),
        set(),
        set(),
    ]


async def test_handler_fails_then_succeeds_when_the_crm_refuses_once(sinks):
    with pytest.raises(httpx.HTTPStatusError, match="503"):
        await tasks.notify_crm(FLAKY)
    await tasks.notify_crm(FLAKY)

    assert (await counts(sinks))["crm"] == {"deliveries": 1, "distinct": 1}
    assert (await counts(sinks))["flaky_refusals"] == 1


async def test_duplicate_is_counted_when_a_mail_is_sent_twice(sinks):
    for _ in range(2):
        await tasks.send_welcome_email(STEADY)

    assert (await counts(sinks))["email"] == {"deliveries": 2, "distinct": 1}
    assert (await counts(sinks))["duplicates"] == 1


async def test_all_mails_arrive_over_few_connections_when_sent_at_once(sinks):
    await asyncio.gather(*(tasks.send_welcome_email(event) for event in EVENTS))

    assert (await counts(sinks))["email"] == {"deliveries": 60, "distinct": 60}
    assert 1 <= len(outgoing().smtp._idle) <= SMTP_CONNECTIONS


async def test_next_mail_gets_a_new_connection_when_the_server_closed_the_old_one(monkeypatch):
    ledger = Ledger()
    async with running_sinks(ledger) as first:
        point_handlers_at(monkeypatch, first)
        await tasks.send_welcome_email(EVENTS[0])
    await until(lambda: not outgoing().smtp._idle[0].is_connected, timeout_s=20)
    async with running_sinks(ledger, smtp_port=first.smtp_port):
        await tasks.send_welcome_email(EVENTS[1])
        await close_outgoing()

    assert ledger.missing("email", {event["event_id"] for event in EVENTS[:2]}) == set()


async def test_connection_is_dropped_when_the_server_refuses_a_mail(sinks):
    pool = outgoing().smtp
    with pytest.raises(aiosmtplib.SMTPDataError, match="expected the header X-Event-Id"):
        async with pool.connection() as smtp:
            await smtp.sendmail("a@example.com", ["b@example.com"], b"Subject: no event\r\n\r\nHello\r\n")

    assert len(pool._idle) == 0
    await tasks.send_welcome_email(STEADY)
    assert (await counts(sinks))["email"] == {"deliveries": 1, "distinct": 1}


async def test_handlers_fail_when_nothing_listens(monkeypatch):
    async with running_sinks(Ledger()) as gone:
        point_handlers_at(monkeypatch, gone)
    try:
        with pytest.raises(aiosmtplib.SMTPConnectError):
            await tasks.send_welcome_email(STEADY)
        with pytest.raises(httpx.ConnectError):
            await tasks.track_signup(STEADY)
    finally:
        await close_outgoing()


async def test_delivery_without_event_id_is_refused_when_posted(sinks):
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"http://127.0.0.1:{sinks.http_port}/analytics", json={})

    assert (answer.status_code, answer.json()) == (400, {"detail": "expected the header X-Event-Id, found none"})
    assert (await counts(sinks))["analytics"]["deliveries"] == 0


async def test_worker_is_named_when_deliveries_are_recorded(tmp_path, monkeypatch):
    path = tmp_path / "record.jsonl"
    with path.open("a", buffering=1) as file:
        async with running_sinks(Ledger(file)) as sinks:
            point_handlers_at(monkeypatch, sinks)
            for deliver in tasks.DELIVERIES:
                await deliver(STEADY)
            await close_outgoing()

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["channel"] for line in lines] == ["email", "analytics", "crm"]
    assert {line["event_id"] for line in lines} == {STEADY["event_id"]}
    assert {line["agent"] for line in lines} == {f"signup-example pid={os.getpid()}"}


@pytest.mark.parametrize("flag", ["smtp_port", "http_port"])
async def test_one_sentence_comes_when_a_port_is_busy(flag):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        option = "--" + flag.replace("_", "-")
        with pytest.raises(PortBusyError, match=f"^cannot listen on 127.0.0.1:{port} .* with {option}$"):
            async with running_sinks(Ledger(), **{flag: port}):
                pass


async def test_nothing_is_logged_when_deliveries_succeed(sinks, caplog):
    caplog.set_level("INFO")
    for deliver in tasks.DELIVERIES:
        await deliver(STEADY)

    assert [record for record in caplog.records if record.name.startswith(("httpx", "mail.log"))] == []
