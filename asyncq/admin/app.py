"""The HTTP application: /metrics, /livez, /readyz, /startupz, and nothing else.

Made by the roof in the admin process and served by `admin.server`. Every answer is text with its reason and is not
to be cached. Changes no state, shows no payload, and only /metrics asks Redis, within a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asyncq.admin import gauges, health
from asyncq.admin.health import FleetView, HealthLimits, Verdict
from asyncq.admin.queues import QueueSampler
from asyncq.metrics.aggregate import aggregate
from asyncq.metrics.exposition import render
from asyncq.metrics.segment import RegionSnapshot
from asyncq.supervisor.scoreboard import State

_UNCACHED = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSources:
    """Where the answers come from; each is asked anew at every request.

    Attributes:
        fleet: The supervisor's view of its workers.
        regions: Snapshots of all regions of the metrics segment (`Segment.snapshots`).
        queues: Sizes of the queues.
        version: Of asyncq, for asyncq_build_info.
        limits: How old signs of life may be.
    """

    fleet: Callable[[], FleetView]
    regions: Callable[[], Sequence[RegionSnapshot]]
    queues: QueueSampler
    version: str
    limits: HealthLimits = field(default_factory=HealthLimits)


def create_app(sources: AdminSources) -> Starlette:
    """The application over these sources. No I/O until a request comes."""

    async def metrics(request: Request) -> Response:
        body, content_type = await scrape(sources, request.headers.get("accept", ""))
        return Response(body, headers={**_UNCACHED, "Content-Type": content_type})

    async def livez(request: Request) -> Response:
        return _answer(health.live(sources.fleet(), sources.limits))

    async def readyz(request: Request) -> Response:
        return _answer(health.ready(sources.fleet(), sources.limits))

    async def startupz(request: Request) -> Response:
        return _answer(health.started(sources.fleet()))

    app = Starlette(
        routes=[Route(f"/{page.__name__}", page, methods=["GET"]) for page in (metrics, livez, readyz, startupz)],
        exception_handlers={HTTPException: _refuse},
    )
    app.router.redirect_slashes = False
    return app


async def scrape(sources: AdminSources, accept: str) -> tuple[bytes, str]:
    """The page of /metrics: (body, content type). Takes at most the sampler's time-out and what rendering needs."""
    sample = await sources.queues.sample()
    fleet = sources.fleet()
    # A worker that boots has not yet forgotten what its predecessor was running.
    live_slots = {worker.slot for worker in fleet.workers if worker.state in (State.READY, State.DRAINING)}
    families = [
        *aggregate(sources.regions(), live_slots),
        *gauges.queue_families(sample),
        *gauges.worker_families(fleet, sources.limits),
        gauges.build_family(sources.version),
    ]
    return render([family for family in families if family.points or family.distributions], accept)


def _answer(verdict: Verdict) -> Response:
    line = f"{'ok' if verdict.ok else 'not ok'}: {verdict.reason}\n"
    return PlainTextResponse(line, 200 if verdict.ok else 503, _UNCACHED)


async def _refuse(request: Request, error: Exception) -> Response:
    """404 and 405, as text."""
    if not isinstance(error, HTTPException):
        raise error
    return PlainTextResponse(f"{error.detail}\n", error.status_code, {**_UNCACHED, **(error.headers or {})})
