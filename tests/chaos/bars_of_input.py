"""The big bars about messages: one poison among innocents, hostile bytes."""

from dataclasses import replace

from tests.chaos.inputs import hostile_bytes
from tests.chaos.poison import MOST_RUNS, given_up, judged, mix, note_deaths
from tests.chaos.rig import Rig
from tests.chaos.verdict import Scale, Verdict, case
from tests.support.states import wait_until

INNOCENTS = 200


@case("bar-poison", "one message that kills its process among 200 innocents, anywhere: one dead letter, 200 executed")
def one_poison(scale: Scale) -> Verdict:
    verdict = Verdict()
    for number in range(scale.pick(1, 10)):
        seed = scale.seed + number
        for kills in (False, True):
            part = _one(replace(scale, seed=seed), kills=kills)
            verdict.add(part, f"{'kills' if kills else 'alone'}{number}_")
    runs = sum(key.endswith("_n") for key in verdict.figures)
    dead = [value for key, value in verdict.figures.items() if key.endswith("_dead")]
    worst = max(value["kill"] for key, value in verdict.figures.items() if key.endswith("_runs"))
    spread = max(value for key, value in verdict.figures.items() if key.endswith("_took"))
    verdict.figures = {"runs": runs, "dead": len(dead), "poison_ran_most": worst, "longest_s": round(spread, 1)}
    return verdict


def _one(scale: Scale, *, kills: bool) -> Verdict:
    with Rig(scale, f"bar-poison {kills}") as rig:
        fleet = rig.fleet("--procs", "2", "--per-proc", "50").ready()
        poisons = mix(rig, INNOCENTS, ("kill",), 0.05)
        if kills:
            rig.kill_while(fleet.workers, 0.4, until=lambda: given_up(rig, poisons), most=8, limit_s=100)
        wait_until(lambda: given_up(rig, poisons), 100, "the poison is given up and everything has ended")
        code = fleet.stop()
        note_deaths(rig, fleet, poisons)
        verdict = judged(rig, poisons, None if kills else MOST_RUNS)
        done = len(rig.record.done)
        verdict.figures["took"] = fleet.log.events("draining")[0]["ts"] - fleet.log.events("ready")[0]["ts"]
    verdict.check(code == 0, f"the supervisor's exit code is {code}")
    verdict.check(done == INNOCENTS, f"{done} executed, expected {INNOCENTS}")
    return verdict


@case("bar-hostile", "10,000 hostile messages among 10,000 good ones: the good ones run, the bad ones are dead letters")
def hostile(scale: Scale) -> Verdict:
    return hostile_bytes(scale)
