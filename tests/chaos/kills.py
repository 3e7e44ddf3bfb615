"""Cases in which processes are killed: one child, all children, the supervisor."""

import json
import math
import os
import signal
import time

from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.fleets import Fleet
from tests.chaos.rig import QUEUE, Rig, holds_within
from tests.chaos.verdict import Scale, Verdict, case
from tests.support.proc import alive
from tests.support.states import wait_until


def kill_children(rig: Rig, fleet: Fleet, every_s: float) -> None:
    """Kill random ready children as long as there is ordinary work.

    Not until all has ended: what was killed alone waits to be run again until nobody is killed any more.
    """
    rig.kill_while(fleet.workers, every_s, until=rig.drained)
    wait_until(rig.finished, 120, "the rest has ended")


def ended(rig: Rig, fleet: Fleet, code: int = 0, *, brakes: bool = False) -> Verdict:
    """Drain the fleet; the oracle's verdict, that every key has an owner, and that the supervisor never slowed down.

    `brakes`: it may, because children are killed before they can have settled anything.
    """
    wait_until(lambda: not rig.ownerless(), 15, "every key ends by itself or has a living owner")
    found = fleet.stop()
    verdict = rig.verdict()
    verdict.check(found == code, f"the supervisor's exit code is {found}, expected {code}")
    braked = len(fleet.log.events("crash loop suspected"))
    verdict.figures["braked"] = braked
    verdict.check(brakes or not braked, f"the brake was pulled {braked} times although the children did their work")
    return verdict


@case("T1", "a random child is killed again and again: nothing lost, only what was in flight runs twice")
def one_child(scale: Scale) -> Verdict:
    with Rig(scale, "T1") as rig:
        fleet = rig.fleet("--procs", "3", "--per-proc", "20").ready()
        rig.enqueue(scale.pick(6_000, 100_000), longest_s=0.02)
        kill_children(rig, fleet, scale.pick(0.3, 0.2))
        counted = metrics(rig, fleet)
        verdict = ended(rig, fleet, brakes=True)
        verdict.figures |= recording(rig)
    verdict.add(counted)
    return verdict


@case("T1-keeper", "a worker and the keeper, who would hand back, are killed together: handed back by the next keeper")
def keeper_too(scale: Scale) -> Verdict:
    with Rig(scale, "T1-keeper") as rig:
        fleet = rig.fleet("--procs", "3", "--per-proc", "20").ready()
        rig.enqueue(scale.pick(6_000, 60_000), longest_s=0.05)
        killed = 0
        while not holds_within(rig.drained, scale.pick(0.5, 0.4)):
            if fleet.keepers() and (living := fleet.workers()):
                rig.kill(*rig.rng.sample([rig.rng.choice(living), *fleet.keepers()], 2))
                killed += 1
        wait_until(rig.finished, 120, "the rest has ended")
        verdict = ended(rig, fleet)
    verdict.figures["pairs"] = killed
    return verdict


def recording(rig: Rig) -> dict[str, object]:
    """What the record costs: microseconds per line, and its share of the time that the tasks took."""
    lines, path = 10_000, str(rig.folder / "probe")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began = time.perf_counter()
    for number in range(lines):
        os.write(fd, f"S {number} {time.time():.6f} {os.getpid()}\n".encode())
    each_us = (time.perf_counter() - began) / lines * 1e6
    os.close(fd)
    return {"record_us_per_line": round(each_us, 1), "record_s": round(len(rig.record.lines) * each_us / 1e6, 2)}


@case("T47", "counters of all children, the dead included, say what the record says")
def counters(scale: Scale) -> Verdict:
    with Rig(scale, "T47") as rig:
        fleet = rig.fleet("--procs", "2", "--per-proc", "20").ready()
        rig.enqueue(scale.pick(2_000, 50_000), longest_s=0.02)
        flaky = [rig.message("flaky", failures=1) for _ in range(scale.pick(20, 500))]
        rig.push(flaky)
        rig.kill_while(lambda: at_work(rig, fleet), 0.3, until=rig.drained)
        wait_until(rig.finished, 120, "the rest has ended")
        verdict = metrics(rig, fleet)
        verdict.add(ended(rig, fleet))
    return verdict


def metrics(rig: Rig, fleet: Fleet) -> Verdict:
    """Compare a scrape with the record. In doubt is what was killed between a handler's last line and the counter."""
    page = fleet.page()
    counted = {
        (sample.name, sample.labels.get("outcome") or sample.labels.get("reason") or sample.labels.get("task", "")): 0.0
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            key = sample.labels.get("outcome") or sample.labels.get("reason") or sample.labels.get("task", "")
            counted[sample.name, key] += sample.value
    rig.record.read()
    kinds = [line.split(" ", 1)[0] for line in rig.record.lines]
    doubt = sum(fault.count for fault in rig.faults)
    done, failed = kinds.count("D"), kinds.count("F")
    succeeded = counted.get(("asyncq_tasks_processed_total", "succeeded"), 0)
    retried = counted.get(("asyncq_tasks_processed_total", "retried"), 0)
    back = counted.get(("asyncq_tasks_redelivered_total", "worker_lost"), 0)
    verdict = Verdict(figures={"succeeded": int(succeeded), "done": done, "redelivered": int(back), "held": doubt})
    verdict.check(done - doubt <= succeeded <= done, f"counted {succeeded} successes, recorded {done}")
    verdict.check(failed - doubt <= retried <= failed, f"counted {retried} retries, recorded {failed}")
    verdict.check(back == doubt, f"counted {back} redelivered, Redis had {doubt} under the killed")
    return verdict


@case("T2", "the same with tasks of seconds: what a child held starts again within a second")
def long_tasks(scale: Scale) -> Verdict:
    with Rig(scale, "T2") as rig:
        fleet = rig.fleet("--procs", "3", "--per-proc", scale.pick("50", "200")).ready()
        rig.enqueue(scale.pick(400, 8_000), shortest_s=1, longest_s=scale.pick(1.5, 5))
        wait_until(lambda: rig.started(scale.pick(100, 500)))
        # Rarely enough that what runs again ends before the next kill: what is hit twice has to wait to be run alone.
        rig.kill_while(fleet.workers, scale.pick(1.8, 6.0), until=rig.drained, most=scale.pick(2, 8))
        wait_until(rig.finished, 120, "the rest has ended")
        verdict = ended(rig, fleet)
        p99_s = rig.findings().recovery_s(0.99)
    limit_s = scale.pick(8, 1)  # short: any machine, also a busy one; by the lease alone it would take 20
    verdict.figures["recovery_p99_s"] = p99_s
    verdict.check(p99_s < limit_s, f"started again within {p99_s:.3f} s (p99), expected less than {limit_s} s")
    return verdict


@case("T3", "all children are killed at once, again and again: nothing lost, the supervisor goes on and does not brake")
def all_children(scale: Scale) -> Verdict:
    times = scale.pick(4, 50)
    with Rig(scale, "T3") as rig:
        fleet = rig.fleet("--procs", "3", "--per-proc", "20").ready()
        for _ in range(times):
            rig.enqueue(300, longest_s=0.02)
            wait_until(lambda: all_at_work(rig, fleet, 3), 30, "all work")
            rig.enqueue(60, longest_s=0.02, shortest_s=0.01)
            rig.kill(*fleet.workers())
        wait_until(rig.finished, 60, "everything has ended")
        verdict = ended(rig, fleet)
    return verdict


SEEN_S = 0.05  # a worker tells its supervisor with every exchange how much it has settled


def at_work(rig: Rig, fleet: Fleet) -> list[int]:
    """Children of which the supervisor knows that they have settled something: their deaths are nobody's crash loop."""
    rig.record.read()
    seen = time.time() - SEEN_S
    return [pid for pid in fleet.workers() if rig.record.first_done_at.get(pid, math.inf) < seen]


def all_at_work(rig: Rig, fleet: Fleet, count: int) -> bool:
    """Whether that many are. Enqueues more when nothing is left to settle."""
    if len(at_work(rig, fleet)) == count:
        return True
    if not rig.server.client.llen(QUEUE):
        rig.enqueue(60, longest_s=0.02, shortest_s=0.01)
    return False


@case("T4", "the supervisor is killed and started again, as by a service manager: its children die, nothing is lost")
def supervisor(scale: Scale) -> Verdict:
    with Rig(scale, "T4") as rig:
        fleet = rig.fleet("--procs", "2", "--per-proc", "20").ready()
        rig.enqueue(scale.pick(3_000, 60_000), longest_s=0.05)
        gone_s = []
        for round_ in range(scale.pick(2, 10)):
            wait_until(lambda round_=round_: rig.done((round_ + 1) * scale.pick(500, 3_000)), 60)
            gone_s.append(kill_supervisor(rig, fleet, look=round_ % 2 == 0))
            fleet = rig.fleet("--procs", "2", "--per-proc", "20").ready()
        wait_until(rig.finished, 120, "everything has ended")
        verdict = ended(rig, fleet)
    verdict.figures["orphans_gone_worst_s"] = round(max(gone_s), 3)
    verdict.check(max(gone_s) <= 2, f"children outlived their supervisor by {max(gone_s):.2f} s, expected at most 2 s")
    return verdict


def kill_supervisor(rig: Rig, fleet: Fleet, *, look: bool) -> float:
    """SIGKILL for the supervisor alone, and with `look` for workers that stand still. Returns how long they live on."""
    pids = fleet.pids()
    rig.note_kill(*pids, look=look)  # they die with it
    at = time.time()
    os.kill(fleet.pid, signal.SIGKILL)
    fleet.wait()
    wait_until(lambda: not any(alive(pid) for pid in pids), 10, "the children die with their supervisor")
    return time.time() - at


@case("T45", "messages with equal bytes stay as many as they are, through retries and kills")
def equal_payloads(scale: Scale) -> Verdict:
    count = scale.pick(500, 10_000)
    with Rig(scale, "T45") as rig:
        fleet = rig.fleet("--procs", "3", "--per-proc", "50").ready()
        raw = rig.message("flaky", failures=1, sleep=0.1)
        rig.push([raw] * count)
        rig.kill_while(fleet.workers, 0.3, until=rig.drained, most=scale.pick(4, 60))
        wait_until(rig.finished, scale.pick(60, 150), "the rest has ended")
        fleet.stop()
        verdict = Verdict()
        rig.record.read()
        kinds = [line.split(" ", 1)[0] for line in rig.record.lines]
        held = sum(fault.count for fault in rig.faults)
        dead, left = rig.dead(), rig.left()
    done, failed = kinds.count("D"), kinds.count("F")
    verdict.figures |= {"n": count, "done": done, "failed": failed, "kills": len(rig.faults), "bound": held}
    verdict.check(count <= done <= count + held, f"{done} ended well, expected {count} to {count + held}")
    verdict.check(count <= failed <= count + held, f"{failed} failed once, expected {count} to {count + held}")
    verdict.check(not left, f"messages lie in {left}")
    verdict.check(not dead, f"dead letters: {json.dumps(dead)[:200]}")
    return verdict
