"""What idle workers of the example's app weigh. The figures: `./run python -m benchmarks supervision memory`."""

from collections.abc import Callable

from benchmarks.procfs import memory
from tests.chaos.fleets import ROOT
from tests.support.fleet import Fleet
from tests.support.states import wait_until

Start = Callable[..., Fleet]

PRIVATE_MIB = 10_000_000 / 2**20
APP = "from examples.signup import tasks\nimport os\nopen('importers', 'a').write(f'{os.getpid()}\\n')\n"
IN_PATH = {"PYTHONPATH": str(ROOT)}


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


def maps(pid: int) -> str:
    """The files that are mapped into a process: its compiled modules among them."""
    with open(f"/proc/{pid}/maps") as file:
        return file.read()
