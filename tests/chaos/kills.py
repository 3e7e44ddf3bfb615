"""Cases in which processes are killed: one child, all children, the supervisor."""

from tests.chaos.rig import Rig
from tests.chaos.verdict import Scale, Verdict, case


@case("T1", "a random child is killed again and again: nothing lost, only what was in flight runs twice")
def one_child(scale: Scale) -> Verdict:
    with Rig(scale, "T1") as rig:
        fleet = rig.fleet("--procs", "3", "--per-proc", "20").ready()
        rig.enqueue(scale.pick(6_000, 100_000), longest_s=0.02)
        rig.kill_while(fleet.workers, scale.pick(0.3, 0.2), until=rig.finished)
        code = fleet.stop()
        verdict = rig.verdict()
    verdict.check(code == 0, f"the supervisor's exit code is {code}")
    return verdict
