"""A storm of kills over tasks that last longer than the calm between two of them: most messages become suspects."""

from tests.chaos.fleets import Fleet
from tests.chaos.rig import QUEUE, Rig
from tests.chaos.verdict import Scale, Verdict, case
from tests.support.states import wait_until


@case("storm", "workers killed faster than tasks end: messages become suspects by the dozen, no innocent is convicted")
def storm(scale: Scale) -> Verdict:
    with Rig(scale, "storm") as rig:
        fleet = rig.fleet("--procs", "2", "--per-proc", "50").ready()
        rig.enqueue(scale.pick(60, 400), shortest_s=0.1, longest_s=0.4)
        enough = scale.pick(12, 60)
        rig.kill_while(fleet.workers, 0.3, until=lambda: _alone(fleet) >= enough, limit_s=240)
        wait_until(rig.finished, 180, "everything has ended")
        reaps = fleet.log.events("given back") + fleet.log.events("reaped")
        alone = _alone(fleet)
        fleet.stop()
        verdict = rig.verdict()
        verdict.figures |= {
            "suspected": sum(event["suspected"] for event in reaps),
            "run_alone": alone,
            "convicted": len(rig.dead()),
        }
        left = rig.server.client.llen(f"asyncq:{{{QUEUE}}}:{QUEUE}:accused")
        verdict.check(not left, f"{left} accused are left")
    return verdict


def _alone(fleet: Fleet) -> int:
    """How many suspects have begun to run alone."""
    return len(fleet.log.events("a suspect runs alone"))
