"""The admin server on a real socket: pages, restart without a lost request, and stops that nobody can hold up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from asyncq.admin.app import AdminSources, create_app
from asyncq.admin.health import FleetView, WorkerView
from asyncq.admin.queues import QueueSampler
from asyncq.admin.server import serve
from asyncq.core.doors import QueueStats
from asyncq.metrics.recorder import Recorder
from asyncq.metrics.segment import Segment
from asyncq.supervisor.scoreboard import State

STOP_WITHIN_S = 3.0  # promised are 2; the rest is for a busy machine


class GatedInspector:
    """Answers when the gate is open; tells when somebody waits at it."""

    def __init__(self) -> None:
        self.gate, self.waiting = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def stats(self, queue: str) -> QueueStats:
        self.waiting.set()
        await self.gate.wait()
        return QueueStats(
            queue=queue, ready=1, scheduled=0, due=0, in_flight=0, suspects=6, dead=0, workers=1, oldest_age_s=0.1
        )

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


class Admin:
    """One listening socket, an application, and any number of servers in turn."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]  # noqa: UP031 - shorter than the f-string
        self.inspector = GatedInspector()
        segment = Segment.create(1)
        recorder = Recorder(segment.region(0), ["send"])
        recorder.started("q")
        recorder.finished("q", "send", "succeeded", 0.02, "")
        worker = WorkerView(slot=0, index=0, pid=1, state=State.READY, state_age_s=1.0, beat_age_s=0.1)
        fleet = FleetView(
            workers=(worker,),
            wanted=1,
            arbiter_beat_age_s=0.1,
            draining=False,
            quiet=False,
            started=True,
            braked=False,
            redis_age_s=0.1,
            restarts={},
        )
        self.app: ASGIApp = create_app(
            AdminSources(
                fleet=lambda: fleet,
                regions=segment.snapshots,
                queues=QueueSampler(self.inspector, lambda: ["q"], timeout_s=60.0, keep_s=0.0),
                version="1.2.3",
            )
        )

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """A running server; gives a function that stops it and fails when that takes too long."""
        stop = asyncio.Event()
        running = asyncio.ensure_future(serve(self.app, self.listener.dup(), stop))

        async def end() -> None:
            stop.set()
            async with asyncio.timeout(STOP_WITHIN_S):
                await running

        try:
            yield end
        finally:
            await end()


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    admin = Admin()
    yield admin
    admin.listener.close()


async def test_the_pages_are_served_over_http(admin: Admin, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "uvicorn")
    async with admin.serving(), httpx.AsyncClient(base_url=admin.url) as http:
        page = await http.get("/metrics")
        families = {each.name: each for each in text_string_to_metric_families(page.text)}
        assert families["asyncq_tasks_processed"].samples[0].value == 1.0
        assert families["asyncq_queue_load"].samples[0].value == 7.0
        assert (await http.get("/livez")).text == "ok: 1 of 1 workers beat\n"
        assert (await http.get("/nothing")).status_code == 404
        assert "server" not in page.headers
    assert caplog.records == []


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
async def test_promtool_finds_nothing_wrong_with_the_page(admin: Admin) -> None:
    async with admin.serving(), httpx.AsyncClient(base_url=admin.url) as http:
        page = (await http.get("/metrics")).content
    done = await asyncio.to_thread(subprocess.run, ["promtool", "check", "metrics"], input=page, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


async def test_the_process_keeps_its_own_signal_handlers(admin: Admin) -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    before = handlers()
    async with admin.serving(), httpx.AsyncClient(base_url=admin.url) as http:
        await http.get("/livez")
        assert handlers() == before
    assert handlers() == before


async def test_a_request_is_answered_by_the_next_server_when_it_came_between_two(admin: Admin) -> None:
    async with admin.serving():
        pass
    async with httpx.AsyncClient(base_url=admin.url, timeout=30.0) as http:
        early = asyncio.ensure_future(http.get("/livez"))
        reader, writer = await asyncio.open_connection(*admin.listener.getsockname())
        assert not early.done()
        async with admin.serving():
            assert (await early).status_code == 200
        writer.close()
        assert await reader.read() == b""


async def test_the_answer_is_finished_when_the_stop_comes_during_a_request(admin: Admin) -> None:
    admin.inspector.gate.clear()
    async with httpx.AsyncClient(base_url=admin.url) as http, admin.serving() as end:
        scrape = asyncio.ensure_future(http.get("/metrics"))
        await admin.inspector.waiting.wait()
        ending = asyncio.ensure_future(end())
        await asyncio.sleep(0)
        admin.inspector.gate.set()
        assert (await scrape).status_code == 200
        await ending


async def test_the_stop_is_not_held_up_by_a_request_that_never_ends(admin: Admin) -> None:
    admin.inspector.gate.clear()
    async with httpx.AsyncClient(base_url=admin.url) as http, admin.serving() as end:
        scrape = asyncio.ensure_future(http.get("/metrics"))
        await admin.inspector.waiting.wait()
        await end()
        with pytest.raises(httpx.HTTPError):
            (await scrape).raise_for_status()


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTT", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_the_stop_is_not_held_up_by_connections_that_stay_open(admin: Admin, sent: bytes) -> None:
    async with admin.serving() as end:
        reader, writer = await asyncio.open_connection(*admin.listener.getsockname())
        writer.write(sent)
        if sent.endswith(b"\r\n\r\n"):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        async with httpx.AsyncClient(base_url=admin.url) as http:  # an answer: the connection was accepted, too
            await http.get("/livez")
        await end()
        writer.close()


async def test_the_connection_is_dropped_at_the_stop_when_a_client_does_not_read(admin: Admin) -> None:
    size = 32 * 1024 * 1024
    answering = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        answering.set()
        await Response(b"x" * size)(scope, receive, send)

    admin.app = app
    async with admin.serving() as end:
        reader, writer = await asyncio.open_connection(*admin.listener.getsockname())
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await answering.wait()
        await end()
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while chunk := await reader.read(65_536):
                received += len(chunk)
        assert received < size
        writer.close()


async def test_the_socket_is_released_when_serving_is_cancelled(admin: Admin) -> None:
    copy = admin.listener.dup()
    running = asyncio.ensure_future(serve(admin.app, copy, asyncio.Event()))
    async with httpx.AsyncClient(base_url=admin.url) as http:
        assert (await http.get("/livez")).status_code == 200
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert copy.fileno() == -1
