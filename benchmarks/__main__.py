"""The command line of the benchmarks."""

from __future__ import annotations

import os
import platform

import click

from benchmarks import drain as drain_scenario
from benchmarks import metrics as metrics_scenario
from benchmarks import payloads as payloads_scenario
from benchmarks import processes as processes_scenario
from benchmarks import supervision as supervision_scenario
from benchmarks import wire as wire_scenario


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def benchmarks() -> None:
    """Measure asyncq on this machine. Needs two cores to say anything about one."""


@benchmarks.command()
@click.option("--tasks", type=click.IntRange(1000), default=300_000, show_default=True, help="Messages in the queue.")
@click.option("--consumers", type=click.IntRange(1), default=50, show_default=True, help="K, tasks at the same time.")
@click.option("--delivery", type=click.Choice(["at-least-once", "at-most-once"]), default="at-least-once")
@click.option("--aof", is_flag=True, help="Redis writes an append-only file, everysec.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True)
@click.option("--server", help="Redis or Valkey binary; default as the embedded one.")
def drain(tasks: int, consumers: int, delivery: str, aof: bool, runs: int, server: str | None) -> None:
    """No-op drain of one process: worker and Redis on a core each."""
    redis_cpu, worker_cpu = _machine()
    drain_scenario.main(
        drain_scenario.Plan(
            tasks=tasks,
            consumers=consumers,
            delivery=delivery,
            aof=aof,
            runs=runs,
            server=server,
            redis_cpu=redis_cpu,
            worker_cpu=worker_cpu,
        )
    )


@benchmarks.command()
@click.option("--calls", type=click.IntRange(10), default=20_000, show_default=True, help="Commands per turn.")
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Turns each.")
@click.option("--server", help="Redis or Valkey binary; default as the embedded one.")
def wire(calls: int, runs: int, server: str | None) -> None:
    """One RPUSH at a time: our wire and redis-py's client in turns, client and Redis on a core each."""
    redis_cpu, client_cpu = _machine()
    wire_scenario.main(
        wire_scenario.Plan(calls=calls, runs=runs, server=server, redis_cpu=redis_cpu, client_cpu=client_cpu)
    )


@benchmarks.command()
@click.option("--calls", type=click.IntRange(10), default=50_000, show_default=True, help="Payloads per turn.")
@click.option("--runs", type=click.IntRange(1), default=7, show_default=True, help="Turns each.")
def payloads(calls: int, runs: int) -> None:
    """Checking a payload against its annotation: dataclass, TypedDict, Struct, pydantic model, and code by hand."""
    _machine()
    payloads_scenario.main(calls, runs)


@benchmarks.command()
@click.option("--tasks", type=click.IntRange(1000), default=50_000, show_default=True, help="Tasks per turn.")
@click.option("--runs", type=click.IntRange(1), default=7, show_default=True, help="Turns each.")
@click.option("--deaths", type=click.IntRange(0), multiple=True, default=(0, 64, 256), show_default=True)
def metrics(tasks: int, runs: int, deaths: tuple[int, ...]) -> None:
    """Counting one task, and a page after so many deaths: shared memory and prometheus_client's two modes in turns."""
    _, cpu = _machine()
    metrics_scenario.main(tasks, runs, sorted(deaths), cpu)


@benchmarks.command()
@click.option("--procs", type=click.IntRange(1), default=2, show_default=True, help="Worker processes.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True)
@click.option("--server", help="Redis or Valkey binary; default as the embedded one.")
def processes(procs: int, runs: int, server: str | None) -> None:
    """Memory, threads and start of a supervisor's parent and of each kind of child. Linux."""
    _machine()
    processes_scenario.main(procs, runs, server)


_SUPERVISION = {
    "kills": supervision_scenario.kills,
    "memory": supervision_scenario.weigh,
    "soak": supervision_scenario.soak,
}


@benchmarks.command()
@click.argument("what", type=click.Choice(list(_SUPERVISION)))
@click.option("--kills", type=click.IntRange(1), help="Kills each way; default 100, of the soak 1,000.")
@click.option("--procs", type=click.IntRange(2), help="Worker processes; default 4, of memory 8.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Turns of memory.")
@click.option("--way", type=click.Choice(list(supervision_scenario.WAYS)), multiple=True, help="Default: both.")
@click.option("--server", help="Redis or Valkey binary; default as the embedded one.")
def supervision(
    what: str, kills: int | None, procs: int | None, runs: int, way: tuple[str, ...], server: str | None
) -> None:
    """Deaths of workers, memory of idle ones, or what many kills leave: zygote and --no-preload in turns. Linux."""
    _machine()
    plan = supervision_scenario.Plan(
        ways=way or tuple(supervision_scenario.WAYS),
        kills=kills or (1000 if what == "soak" else 100),
        procs=procs or (8 if what == "memory" else 4),
        runs=runs,
        server=server,
    )
    _SUPERVISION[what](plan)


def _machine() -> tuple[int | None, int | None]:
    """Say what machine this is; a core for Redis and one for the other side, if there are two."""
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {platform.system()}")
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (cpus[0], cpus[1]) if len(cpus) > 1 else (None, None)


if __name__ == "__main__":
    benchmarks()
