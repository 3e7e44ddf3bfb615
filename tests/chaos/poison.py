"""Cases with poison: messages that end the process which runs them. They die as dead letters, and they alone."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tests.chaos import hosts
from tests.chaos.fleets import Fleet
from tests.chaos.oracle import Fault, id_of
from tests.chaos.rig import Rig, passed_s
from tests.chaos.verdict import Scale, Verdict, case
from tests.support.states import wait_until

KINDS = ("exit", "segv", "kill", "memory")
# A SIGKILL may have been an operator: its message dies twice alone before it is given up. Who sends it itself is seen.
MOST_RUNS = {"exit": 3, "segv": 3, "kill": 3, "memory": 4}
UNSEEN = dict.fromkeys(KINDS, 4)  # without a supervisor nobody saw how the process died


def mix(rig: Rig, innocents: int, kinds: Sequence[str], longest_s: float) -> dict[str, str]:
    """Push numbered innocents with poison at random places among them. Returns id -> kind of the poison."""
    raws = [rig.message(sleep=round(rig.rng.uniform(0, longest_s), 4)) for _ in range(innocents)]
    poisons = {}
    for how in kinds:
        raw = rig.message("poison", how=how, sleep=0.02)
        poisons[id_of(raw)] = how
        raws.insert(rig.rng.randint(0, len(raws)), raw)
    rig.push(raws)
    return poisons


def note_deaths(rig: Rig, fleet: Fleet, poisons: Iterable[str]) -> None:
    """Deaths that nobody of the rig caused are faults, too: innocents beside a poison may run again.

    While a poison takes memory its process settles nothing, so that what had ended before it died may run again, too.
    """
    rig.record.read()
    starts = (line.split(" ") for line in rig.record.lines if line.startswith("S"))
    stuck = {int(pid): float(at) for _, id_, at, pid in starts if id_ in poisons}
    known = {fault.pid for fault in rig.faults}
    for event in fleet.log.events("child died"):
        pid = event["pid"]
        if event["role"] == "worker" and pid not in known:
            rig.faults.append(Fault("kill", pid, event["ts"], stuck_at=stuck.get(pid)))


def judged(rig: Rig, poisons: dict[str, str], most: Mapping[str, int] | None = None) -> Verdict:
    """The oracle's verdict: exactly the poisons are dead letters, for the reason `poison`, after few executions."""
    reasons = Counter(rig.dead().values())
    verdict = rig.verdict(dead=poisons)
    runs = Counter(line.split(" ")[1] for line in rig.record.lines if line.startswith("S"))
    worst = {how: max(runs[id_] for id_, kind in poisons.items() if kind == how) for how in set(poisons.values())}
    verdict.figures |= {"dead": dict(reasons), "runs": worst}
    verdict.check(set(reasons) <= {"poison"}, f"expected the reason poison alone, found {dict(reasons)}")
    late = {how: count for how, count in worst.items() if most and count > most[how]}
    verdict.check(not late, f"ran more often than {most}: {late}")
    return verdict


def given_up(rig: Rig, poisons: Iterable[str]) -> bool:
    """Whether everything has ended and the poisons lie in the dead letters."""
    return rig.finished() and set(poisons) <= set(rig.dead())


@case("T27", "messages that exit, crash, kill their process or exhaust memory: dead letters, and no innocent is one")
def five_poisons(scale: Scale) -> Verdict:
    return _poisons(scale, "T27", every_s=0)


@case("T28", "the same while random children are killed")
def poisons_and_kills(scale: Scale) -> Verdict:
    return _poisons(scale, "T28", every_s=scale.pick(0.5, 0.4))


def _poisons(scale: Scale, name: str, every_s: float) -> Verdict:
    with hosts.memory_limit(f"asyncq-{name}-{os.getpid()}", 1 << 28) as group, Rig(scale, name) as rig:
        rig.env["CHAOS_CGROUP"] = group
        fleet = rig.fleet("--procs", "3", "--per-proc", "20").ready()
        # What takes all memory is convicted in calm only, after 10 s each: that is for the full form.
        kinds = scale.pick(("kill", "exit") if every_s else ("exit", "segv", "kill"), (*KINDS, "exit"))
        poisons = mix(rig, scale.pick(5_000 if every_s else 500, 20_000), kinds, 0.02)
        if every_s:  # not for ever: while workers are being killed what kills its own is not convicted
            over = passed_s(scale.pick(4, 30))
            rig.kill_while(fleet.workers, every_s, until=over)
        wait_until(lambda: given_up(rig, poisons), 100, "the poisons are given up and everything has ended")
        code = fleet.stop()
        note_deaths(rig, fleet, poisons)
        verdict = judged(rig, poisons, None if every_s else MOST_RUNS)
        verdict.figures["cgroup"] = bool(group)
    verdict.check(code == 0, f"the supervisor's exit code is {code}")
    return verdict


@case("T27-alone", "poison without a supervisor: whoever starts the worker again finds it isolated in the end")
def without_supervisor(scale: Scale) -> Verdict:
    with Rig(scale, "T27-alone") as rig:
        poisons = mix(rig, scale.pick(50, 2_000), ("exit",), 0.02)
        worker, starts, end_mono = rig.worker("--per-proc", "10"), 1, time.monotonic() + 120
        while not given_up(rig, poisons):
            assert time.monotonic() < end_mono, rig.progress()
            if worker.process.poll() is not None:
                rig.faults.append(Fault("kill", worker.pid, time.time()))
                worker, starts = rig.worker("--per-proc", "10"), starts + 1
            wait_until(
                lambda it=worker: it.process.poll() is not None or rig.finished(), 120, "it dies or all has ended"
            )
        worker.stop()
        verdict = judged(rig, poisons, UNSEEN)
    verdict.figures["starts"] = starts
    return verdict
