"""The application, without a socket: pages, codes, headers, and what the metrics page holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from asyncq.admin.app import AdminSources, create_app
from asyncq.admin.health import FleetView, WorkerView
from asyncq.admin.queues import QueueSampler
from asyncq.core.doors import QueueStats
from asyncq.core.errors import BrokerUnavailableError
from asyncq.metrics.recorder import Recorder
from asyncq.metrics.segment import Segment
from asyncq.supervisor.scoreboard import State

Samples = dict[tuple[str, ...], float]


def worker(index: int, **changes: object) -> WorkerView:
    """A healthy worker; the slots of two helpers come first, as in a real fleet."""
    fine = WorkerView(slot=2 + index, index=index, pid=100 + index, state=State.READY, state_age_s=9.0, beat_age_s=0.5)
    return replace(fine, **changes)  # type: ignore[arg-type]


class FakeInspector:
    def __init__(self) -> None:
        self.away = False

    async def stats(self, queue: str) -> QueueStats:
        if self.away:
            raise BrokerUnavailableError("away")
        return QueueStats(
            queue=queue, ready=1, scheduled=20, due=300, in_flight=4, suspects=6, dead=5, workers=1, oldest_age_s=2.5
        )

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


TWO_READY = FleetView(
    workers=(worker(0), worker(1)),
    wanted=2,
    arbiter_beat_age_s=0.1,
    draining=False,
    quiet=False,
    started=True,
    braked=False,
    redis_age_s=0.5,
    restarts={"crash": 3, "reload": 2},
)


@dataclass
class House:
    """The sources of one application, to be changed by tests."""

    segment: Segment = field(default_factory=lambda: Segment.create(4))
    inspector: FakeInspector = field(default_factory=FakeInspector)
    fleet: FleetView = field(default_factory=lambda: TWO_READY)


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    sources = AdminSources(
        fleet=lambda: house.fleet,
        regions=house.segment.snapshots,
        queues=QueueSampler(house.inspector, lambda: ["q"], keep_s=0.0),
        version="1.2.3",
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(sources)), base_url="http://x") as client:
        yield client


async def samples(http: httpx.AsyncClient) -> Samples:
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for each in text_string_to_metric_families(answer.text)
        for sample in each.samples
    }


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/startupz"])
async def test_each_page_answers_200_as_uncached_text(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("path", "fleet", "line"),
    [
        ("/livez", {"workers": ()}, "not ok: no worker beat in the last 20 s and none is starting within 60 s\n"),
        ("/readyz", {"draining": True}, "not ok: draining: no new messages are taken\n"),
        ("/readyz", {"braked": True}, "not ok: crash loop suspected: one worker at a time is tried\n"),
        ("/startupz", {"started": False}, "not ok: 2 of 2 workers are ready, but a helper process is not\n"),
    ],
)
async def test_a_page_answers_503_with_one_line_when_the_answer_is_no(
    http: httpx.AsyncClient, house: House, path: str, fleet: dict[str, object], line: str
) -> None:
    house.fleet = replace(house.fleet, **fleet)  # type: ignore[arg-type]
    answer = await http.get(path)
    assert (answer.status_code, answer.text) == (503, line)
    assert answer.headers["cache-control"] == "no-store"


async def test_liveness_and_readiness_do_not_ask_redis(http: httpx.AsyncClient, house: House) -> None:
    house.inspector.away = True
    assert (await http.get("/livez")).text == "ok: 2 of 2 workers beat\n"
    assert (await http.get("/readyz")).text == "ok: 2 of 2 workers are ready\n"


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/", "/livez/x", "/docs", "//metrics"])
async def test_an_unknown_path_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(f"http://x{path}")
    assert (answer.status_code, answer.text) == (404, "Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_another_method_is_not_allowed(http: httpx.AsyncClient, method: str) -> None:
    answer = await http.request(method, "/metrics")
    assert (answer.status_code, answer.text) == (405, "Method Not Allowed\n")
    assert "GET" in answer.headers["allow"]


async def test_the_page_shows_queues_workers_and_versions(http: httpx.AsyncClient) -> None:
    page = await samples(http)
    states = {state: page["asyncq_queue_tasks", "q", state] for state in ("ready", "scheduled", "due", "in_flight")}
    assert states == {"ready": 1.0, "scheduled": 20.0, "due": 300.0, "in_flight": 4.0}
    assert page["asyncq_queue_tasks", "q", "dead"] == 5.0
    assert page["asyncq_queue_load", "q"] == 311.0
    assert page["asyncq_queue_oldest_age_seconds", "q"] == 2.5
    assert page["asyncq_redis_up",] == 1.0
    assert page["asyncq_worker_processes", "ready"] == 2.0
    assert page["asyncq_worker_processes", "backoff"] == 0.0
    assert page["asyncq_worker_restarts_total", "crash"] == 3.0
    assert page["asyncq_worker_up", "1"] == 1.0
    assert page["asyncq_worker_heartbeat_age_seconds", "0"] == 0.5
    assert [key[2] for key in page if key[0] == "asyncq_build_info"] == ["1.2.3"]
    assert page["asyncq_metrics_dropped_series_total",] == 0.0


async def test_queue_gauges_are_absent_and_all_else_is_there_when_redis_is_away(
    http: httpx.AsyncClient, house: House
) -> None:
    house.inspector.away = True
    page = await samples(http)
    assert page["asyncq_redis_up",] == 0.0
    assert not [key for key in page if key[0].startswith("asyncq_queue_")]
    assert page["asyncq_worker_processes", "ready"] == 2.0


@pytest.mark.parametrize("gone", [{"pid": 0, "state": State.BACKOFF}, {"state": State.STARTING, "beat_age_s": None}])
async def test_counters_of_a_dead_worker_stay_and_its_running_attempts_go(
    http: httpx.AsyncClient, house: House, gone: dict[str, object]
) -> None:
    for slot in (2, 3):
        recorder = Recorder(house.segment.region(slot), ["send"])
        recorder.started("q")
        recorder.finished("q", "send", "succeeded", 0.1, "")
        recorder.started("q")
    before = await samples(http)
    assert before["asyncq_tasks_processed_total", "succeeded", "q", "send"] == 2.0
    assert before["asyncq_tasks_in_progress", "q"] == 2.0
    house.fleet = replace(house.fleet, workers=(worker(0), worker(1, **gone)))
    after = await samples(http)
    assert after["asyncq_tasks_processed_total", "succeeded", "q", "send"] == 2.0
    assert after["asyncq_tasks_in_progress", "q"] == 1.0
    assert after["asyncq_worker_up", "1"] == 0.0
    assert ("asyncq_worker_heartbeat_age_seconds", "1") not in after


async def test_openmetrics_is_served_when_asked_for(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
