"""Cases of the supervisor itself: the tree stands still, its app cannot live, its messages kill by the hundred."""

import os
import signal
import urllib.error
from pathlib import Path

from benchmarks.procfs import descendants
from tests.chaos import poison
from tests.chaos.fleets import Fleet
from tests.chaos.kills import ended
from tests.chaos.rig import Rig, passed_s
from tests.chaos.verdict import Scale, Verdict, case
from tests.support.states import wait_until

DOOMED = """
import os, threading
from asyncq import task

@task("nothing")
async def nothing(payload): ...

def die():
    os.write(2, b"cannot reach the license server\\n")
    os._exit(13)

os.register_at_fork(after_in_child=lambda: threading.Timer(0.3, die).start())
"""


@case("bar-standstill", "every process of a tree stands still for a minute, three watchdogs: nobody is killed")
def standstill(scale: Scale) -> Verdict:
    """The supervisor is stopped first and goes on last: a suspended machine stops all of them at once."""
    still_s, watchdog_s = scale.pick(6, 60), scale.pick(2, 20)
    with Rig(scale, "bar-standstill") as rig:
        fleet = rig.fleet("--procs", "2", "--watchdog", str(watchdog_s)).ready()
        rig.enqueue(40, shortest_s=still_s, longest_s=still_s + 2.0)
        wait_until(lambda: rig.started(40), 20, "all run")
        tree = [fleet.pid, *descendants(fleet.pid)]
        for pid in tree:
            os.kill(pid, signal.SIGSTOP)
        wait_until(passed_s(still_s), still_s + 5)
        for pid in reversed(tree):
            os.kill(pid, signal.SIGCONT)
        rig.enqueue(200, longest_s=0.05)
        wait_until(rig.finished, 30, "everything ends")
        same = tree == [fleet.pid, *descendants(fleet.pid)]
        died = fleet.log.events("child died")
        verdict = ended(rig, fleet)
    verdict.figures |= {"still_s": still_s, "watchdog_s": watchdog_s}
    verdict.check(same, "not the same processes as before")
    verdict.check(not died, f"died: {died}")
    verdict.check(verdict.figures["duplicates"] == 0, "something ran twice")
    return verdict


@case("bar-crash-loop", "an app whose workers die 0.3 s after their start: few starts, not ready, exit 1 within 60 s")
def crash_loop(scale: Scale) -> Verdict:
    """The short form gives up after 4 s of failing probes, the full one after the default."""
    verdict = Verdict()
    with Rig(scale, "bar-crash-loop") as rig:
        Path(rig.folder, "doomed.py").write_text(DOOMED)
        began = passed_s(60)
        flags = () if scale.full else ("--crash-loop-exit", "4")
        fleet = rig.fleet("--procs", "2", *flags, app="doomed")
        wait_until(lambda: fleet.log.events("crash loop suspected"), 30, "the brake")
        said = _refusal(fleet, "/readyz")
        verdict.check("crash loop suspected" in said, f"/readyz says {said!r}")
        code = fleet.wait(70)
        verdict.check(not began(), "it took more than 60 s")
        verdict.check(code == 1, f"exit code {code}, expected 1")
        starts = [event for event in fleet.log.events("child ready") if event["role"] == "worker"]
        said = " ".join(fleet.log.other_lines()).partition("asyncq: crash loop")[2]
        verdict.figures |= {"starts": len(starts), "span_s": round(starts[-1]["ts"] - starts[0]["ts"], 1)}
        verdict.check(len(starts) <= 20, f"{len(starts)} starts")
        verdict.check("cannot reach the license server" in said, f"last words: {said}")
    return verdict


def _refusal(fleet: Fleet, path: str) -> str:
    """What the page says with a 503; empty with a 200."""
    try:
        fleet.page(path)
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode() if error.code == 503 else ""
    return ""


@case("bar-poison-hundred", "100 messages that end their process: 100 dead letters, the supervisor up, others flow")
def hundred(scale: Scale) -> Verdict:
    with Rig(scale, "bar-poison-hundred") as rig:
        fleet = rig.fleet("--procs", "2", "--per-proc", "10").ready()
        poisons = poison.mix(rig, scale.pick(200, 2_000), (("exit", "segv", "kill") * 34)[: scale.pick(9, 100)], 0.02)
        wait_until(lambda: len(rig.dead()) == len(poisons), scale.pick(60, 400), "all are given up")
        wait_until(rig.finished, 60, "the others have ended")
        rig.enqueue(100, longest_s=0.02)
        wait_until(rig.finished, 30, "it still works")
        code = fleet.stop()
        poison.note_deaths(rig, fleet, poisons)
        verdict = poison.judged(rig, poisons, poison.MOST_RUNS)
        gave_up = fleet.log.events("gave up")
        verdict.figures["deaths"] = len(fleet.log.events("child died"))
    verdict.check(code == 0 and not gave_up, f"the supervisor's exit code is {code}: {gave_up}")
    return verdict
