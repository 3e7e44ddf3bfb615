"""What idle workers of the example's app weigh. The figures: `./run python -m benchmarks supervision memory`."""

from collections.abc import Callable
from typing import Any

import redis

from benchmarks.procfs import memory
from tests.chaos.fleets import ROOT
from tests.support.fleet import Fleet, message
from tests.support.states import wait_until

Start = Callable[..., Fleet]

PRIVATE_MIB = 10_000_000 / 2**20
APP = "from examples.signup import tasks\nimport os\nopen('importers', 'a').write(f'{os.getpid()}\\n')\n"
IN_PATH = {"PYTHONPATH": str(ROOT)}
# Writes down what the process that runs it has imported, and what of it after the fork that made it.
LOOK = """
import json, os, sys
from asyncq import task

born = set()
os.register_at_fork(after_in_child=lambda: born.update(sys.modules))

@task("look")
async def look(payload):
    told = {"name": "look", "modules": sorted(sys.modules), "late": sorted(set(sys.modules) - born)}
    with open(os.environ["RECORD"], "a") as record:
        record.write(json.dumps(told) + "\\n")
"""


def test_eight_idle_workers_have_at_most_10_megabytes_of_their_own_each(start: Start) -> None:
    fleet = start("--procs", "8", tasks=APP, env=IN_PATH).ready()
    workers = fleet.pids("worker")
    wait_until(lambda: fleet.get("/readyz")[0] == 200, what="Redis has answered: they have connected")
    private_mib = [memory(pid)["private_mib"] for pid in workers]

    assert 8 == len(private_mib)
    assert max(private_mib) <= PRIVATE_MIB, private_mib
    assert 0 == fleet.stop()


def test_the_supervisor_itself_never_imports_the_app(start: Start) -> None:
    fleet = start("--procs", "1", tasks=APP, env=IN_PATH).ready()
    (zygote,) = fleet.pids("zygote")

    assert memory(fleet.process.pid)["private_mib"] < 15
    assert [zygote] == [int(pid) for pid in (fleet.folder / "importers").read_text().split()]
    assert "uvloop" not in maps(fleet.process.pid)
    assert "uvloop" in maps(zygote)
    assert 0 == fleet.stop()


def test_a_worker_without_a_zygote_imports_nothing_that_only_other_children_need(
    start: Start, raw_redis: redis.Redis
) -> None:
    looked = look(start("--procs", "1", "--no-preload", tasks=LOOK), raw_redis)

    assert {"asyncq.worker.worker", "redis", "uvloop"} <= set(looked["modules"])
    others = {"starlette", "uvicorn", "prometheus_client", "asyncq.maintenance", "asyncq.admin.app"}
    assert set() == others & set(looked["modules"])


def test_a_worker_imports_nothing_that_its_zygote_has_not_imported(start: Start, raw_redis: redis.Redis) -> None:
    looked = look(start("--procs", "1", tasks=LOOK), raw_redis)

    assert {"asyncq.worker.worker", "redis", "uvloop"} <= set(looked["modules"])
    assert [] == looked["late"]


def look(fleet: Fleet, raw_redis: redis.Redis) -> dict[str, Any]:
    """What a worker says that has run a task."""
    raw_redis.rpush("task_queue", message("look", 1), message("look", 2))
    wait_until(lambda: len(fleet.ran("look")) == 2, what="the task has looked around")
    assert 0 == fleet.stop()
    return fleet.ran("look")[-1]


def maps(pid: int) -> str:
    """The files that are mapped into a process: its compiled modules among them."""
    with open(f"/proc/{pid}/maps") as file:
        return file.read()
