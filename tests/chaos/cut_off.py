"""Cases in which a process is alive or lost and nobody can tell: a host without network, a process standing still."""

import os
import signal
import time

from tests.chaos import hosts, poison
from tests.chaos.rig import Rig, holds_within
from tests.chaos.verdict import Scale, Verdict, case
from tests.support.states import wait_until

# Others reap a lease that was missing in 6 samples 1 s apart; the last sample may come a second late.
OBSERVED_S, SLACK_S = 6.0, 1.0


@case("T5", "a host loses its network, then dies: another runs what it held after lease and observation, none lost")
def host_without_network(scale: Scale) -> Verdict:
    lease_s = scale.pick(2, 15)
    name = f"aq{os.getpid() % 100_000}"
    with hosts.cable(name) as cable, Rig(scale, "T5", bind=cable.near) as rig:
        there = rig.worker(
            "--per-proc", "10", "--lease", f"{lease_s}",
            url=f"redis://{cable.near}:{rig.server.port}", wrapper=cable.wrapper,
        )  # fmt: skip
        rig.registered(there)
        rig.enqueue(10, shortest_s=2, longest_s=3)
        wait_until(lambda: rig.started(10), what="the other host runs them")
        here = rig.fleet("--procs", "1", "--lease", f"{lease_s}").ready()
        rig.note_kill(there.pid)
        held = rig.faults[-1].count
        cut_at = time.time()
        cable.cut()
        there.process.kill()
        there.wait()
        rig.enqueue(50, longest_s=0.01)
        wait_until(rig.finished, lease_s + 30, "everything has ended")
        here.stop()
        verdict = rig.verdict()
        reaped = [event["ts"] - cut_at for event in here.log.events("reaped") if event["handed_back"]]
    limit_s = lease_s + OBSERVED_S + SLACK_S
    verdict.figures |= {"lease_s": lease_s, "reaped_s": round(max(reaped, default=0), 2), "limit_s": limit_s}
    verdict.check(verdict.figures["recovery_worst_s"] <= limit_s, f"not recovered within {limit_s} s")
    verdict.check(len(reaped) == 1, f"expected one reap, found {reaped}")
    verdict.check(held > 0, "the other host had ended everything before it was lost")
    verdict.check(verdict.figures["duplicates"] == held, f"expected the {held} of the lost host to run again, no other")
    return verdict


@case("T6", "processes stand still for longer than their lease: none lost, what comes too late is refused and counted")
def standing_still(scale: Scale) -> Verdict:
    verdict = _children(scale)
    verdict.add(_whole_tree(scale), "tree_")
    return verdict


def _children(scale: Scale) -> Verdict:
    """Children of a supervisor, whose keeper renews for them: late, and nothing runs twice."""
    lease_s = scale.pick(1, 4)
    with Rig(scale, "T6") as rig:
        fleet = rig.fleet("--procs", "2", "--per-proc", "10", "--lease", f"{lease_s}").ready()
        rig.enqueue(scale.pick(300, 8_000), longest_s=0.1)
        for _ in range(scale.pick(2, 10)):
            victim = rig.rng.choice(fleet.workers())
            stop_s = lease_s * rig.rng.uniform(0.5, scale.pick(1.5, 3.0))
            os.kill(victim, signal.SIGSTOP)
            holds_within(lambda: False, stop_s)
            rig.go_on(victim)
        wait_until(rig.finished, 120, "everything has ended")
        fleet.stop()
        return rig.verdict()  # no fault is noted: a duplicate would have no excuse


def _whole_tree(scale: Scale) -> Verdict:
    """A supervisor with all its processes, as in a suspended machine: another fleet reaps it, then it comes back."""
    lease_s, count = scale.pick(1, 15), 8
    with Rig(scale, "T6 tree") as rig:
        there = rig.fleet("--procs", "1", "--per-proc", f"{count}", "--lease", f"{lease_s}").ready()
        rig.enqueue(count, shortest_s=1.5, longest_s=2)
        wait_until(lambda: rig.started(count), what="it runs them")
        here = rig.fleet("--procs", "1", "--lease", f"{lease_s}").ready()
        pids = there.pids()
        rig.stand_still(*pids)
        held = sum(len(rig.held(pid)) for pid in pids)
        wait_until(lambda: rig.done(count), lease_s + OBSERVED_S + 10, "the other fleet runs them")
        rig.go_on(*reversed(pids))
        wait_until(lambda: there.log.events("lease lost"), 20, "the late one notices")
        wait_until(lambda: _late(there.page()) >= held, 10, "the late settlements are counted")
        late = _late(there.page())
        rig.enqueue(50)
        wait_until(rig.finished, 20, "it works again")
        there.stop()
        here.stop()
        verdict = rig.verdict()
    verdict.figures["late_refused"] = late
    verdict.check(0 < late == held, f"{late} late settlements counted, expected {held}")
    return verdict


def _late(page: str) -> int:
    """The counter of late settlements on a page of metrics."""
    lines = [line for line in page.splitlines() if line.startswith("asyncq_late_settlements_total{")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


@case("T7", "a handler blocks the event loop for two leases: it is executed once, with a supervisor and without")
def blocked_loop(scale: Scale) -> Verdict:
    """The full form blocks for longer than the two seconds after which it is warned of, with the message."""
    lease_s = scale.pick(1, 5)
    with Rig(scale, "T7") as rig:
        flags = ("--per-proc", "5", "--lease", f"{lease_s}")
        alone = rig.worker(*flags)
        rig.registered(alone)
        rig.push([rig.message("block", sleep=2 * lease_s)])
        wait_until(lambda: rig.started(1), what="the one without a supervisor is blocked")
        fleet = rig.fleet("--procs", "1", *flags).ready()
        rig.push([rig.message("block", sleep=2 * lease_s)])
        rig.enqueue(20, longest_s=0.05)
        wait_until(lambda: rig.done(22), 4 * lease_s + 20, "everything has ended")
        rig.enqueue(20, longest_s=0.05)
        wait_until(rig.finished, 20, "both still work")
        fleet.stop()
        alone.stop()
        verdict = rig.verdict()
        warned = [event["task"] for event in fleet.log.events("event loop blocked")]
    verdict.check(verdict.figures["duplicates"] == 0, "something ran twice")
    if scale.full:
        verdict.check(warned == ["block"], f"warnings of {warned}")
    return verdict


@case("T8", "a handler blocks the event loop for ever: it is killed, and given up when it does so alone")
def blocked_for_ever(scale: Scale) -> Verdict:
    """The first hang makes it a suspect, the second one, alone, ends it; who ran beside it is not even counted."""
    watchdog_s = scale.pick(2, 20)
    with Rig(scale, "T8") as rig:
        fleet = rig.fleet("--procs", "2", "--per-proc", "10", "--watchdog", f"{watchdog_s}").ready()
        poisons = poison.mix(rig, scale.pick(200, 2_000), ("hang",) * scale.pick(1, 3), 0.05)
        limit_s = 2 * len(poisons) * (watchdog_s + 10)
        wait_until(lambda: poison.given_up(rig, poisons), limit_s, "it is given up and everything has ended")
        rig.enqueue(50, longest_s=0.02)
        wait_until(rig.finished, 20, "they work again")
        code = fleet.stop()
        poison.note_deaths(rig, fleet, poisons)
        verdict = poison.judged(rig, poisons, {"hang": 2})
        hung, died = fleet.log.events("event loop blocked"), fleet.log.events("child died")
    named = {event["message_id"] for event in died}
    verdict.figures |= {"watchdog_s": watchdog_s, "warnings": len(hung), "deaths": len(died)}
    verdict.check({event["reason"] for event in died} == {"hang"}, f"expected hangs alone, found {died}")
    verdict.check(len(named) == len(poisons) and "" not in named, f"the log names {named}")
    verdict.check(len(hung) == len(died), f"{len(hung)} warnings before {len(died)} deaths")
    verdict.check(code == 0, f"the supervisor's exit code is {code}")
    return verdict
