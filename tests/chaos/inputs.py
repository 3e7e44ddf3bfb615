"""Cases about what producers push: sizes, nesting, hostile bytes, names that only the next version knows."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos import hostile, oracle
from tests.chaos.fleets import Fleet
from tests.chaos.rig import QUEUE, Rig
from tests.chaos.verdict import Scale, Verdict, case
from tests.support.states import wait_until

MIB = 1024 * 1024
SMALL = 200
FLAT_BYTES = 24 * MIB  # what allocators and caches may add to a worker


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    fields = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) * 1024


def dead_letters(rig: Rig) -> list[tuple[str, bytes]]:
    """(reason, bytes kept) of every dead letter."""
    records = rig.server.client.hvals(f"asyncq:{{{QUEUE}}}:{QUEUE}:dead:records")
    parts = [record.partition(b"\n") for record in records]
    return [(json.loads(header)["reason"], raw) for header, _, raw in parts]


def count_dead(rig: Rig) -> int:
    return int(rig.server.client.zcard(f"asyncq:{{{QUEUE}}}:{QUEUE}:dead"))


def sent_bytes(rig: Rig) -> int:
    """What the server has sent to all its clients so far."""
    return int(rig.server.client.info("stats")["total_net_output_bytes"])


def unharmed(fleet: Fleet, pids: list[int]) -> str:
    """A sentence if a process died."""
    died = [event["cause"] for event in fleet.log.events("child died")]
    return f"processes died: {died}" if died or fleet.workers() != pids else ""


@case("T29", "payloads from nothing to 64 MiB, a million levels, a million keys: limits hold, memory too, others go on")
def sizes(scale: Scale) -> Verdict:
    deep, keys = scale.pick(100_000, 1_000_000), scale.pick(100_000, 1_000_000)
    with Rig(scale, "T29") as rig:
        fleet = rig.fleet("--procs", "1", "--per-proc", "10").ready()
        rig.enqueue(100)
        wait_until(lambda: rig.done(100))
        pids = fleet.workers()
        before, sent = rss_bytes(pids[0]), sent_bytes(rig)
        fields = hostile.good_fields(rig.rng)
        text = json.dumps(fields)
        body = json.dumps({**fields, "payload": {f"key{n}": n for n in range(keys)}}).encode()
        raws = {
            b"": "malformed",
            b"x": "malformed",
            text.replace('{"sleep": 0}', "[" * deep).encode(): "malformed",
            text.replace('{"sleep": 0}', "[" * (deep // 4) + "]" * (deep // 4)).encode(): "malformed",
            body: "oversized" if len(body) > MIB else "",
            b'"' + b"a" * (64 * MIB) + b'"': "oversized",
        }
        fits = json.dumps(_padded(rig, MIB)).encode()
        over = json.dumps(_padded(rig, MIB + 1)).encode()
        raws[over] = "oversized"
        # In one command: what rings the bell of an idle worker is the first of them.
        rig.server.client.rpush(QUEUE, *raws)
        rig.push([fits])
        rig.enqueue(100)
        wait_until(rig.finished, 60, "everything has ended")
        reasons = Counter(reason for reason, _ in dead_letters(rig))
        grown, shipped = rss_bytes(pids[0]) - before, sent_bytes(rig) - sent
        verdict = Verdict()
        verdict.check(not (harm := unharmed(fleet, pids)), harm)
        fleet.stop()
        found = rig.findings()
    wanted = Counter(raws.values())
    verdict.figures |= {
        "n": found.enqueued,
        "dead": dict(reasons),
        "grown_mib": grown // MIB,
        "sent_mib": shipped // MIB,
    }
    verdict.check(reasons == wanted, f"dead letters {dict(reasons)}, expected {dict(wanted)}")
    verdict.check(found.completed == found.enqueued, f"{found.completed} of {found.enqueued} others executed")
    verdict.check(grown < 64 * MIB, f"the worker grew by {grown // MIB} MiB")
    verdict.check(shipped < 16 * MIB, f"the server sent {shipped // MIB} MiB: large bodies were shipped")
    return verdict


def _padded(rig: Rig, size: int) -> dict[str, Any]:
    """A message of exactly that many bytes."""
    fields: dict[str, Any] = json.loads(rig.message())
    fields["payload"]["pad"] = ""
    fields["payload"]["pad"] = "p" * (size - len(json.dumps(fields)))
    return fields


@case("T30", "hostile bytes among good messages: the good ones run, each bad one is a dead letter with its reason")
def hostile_bytes(scale: Scale) -> Verdict:
    count = scale.pick(1_000, 10_000)
    with Rig(scale, "T30") as rig:
        limits = ("--unknown-task-park", "1", "--max-message-bytes", str(hostile.LARGEST_BYTES))
        fleet = rig.fleet("--procs", "2", "--per-proc", "50", *limits).ready()
        pids = fleet.workers()
        verdict = Verdict()
        _huge_bodies(rig, verdict)
        bad = [hostile.bad(rig.rng) for _ in range(count)]
        _push_mixed(rig, [raw for raw, _ in bad[: count // 4]], count // 4)
        wait_until(lambda: rig.done(count // 4 + SMALL) and count_dead(rig) == count // 4 + 3, 60, "the first quarter")
        before = {pid: rss_bytes(pid) for pid in pids}
        _push_mixed(rig, [raw for raw, _ in bad[count // 4 :]], count - count // 4)
        wait_until(rig.finished, 120, "everything has ended")
        grown = max(rss_bytes(pid) - before[pid] for pid in pids)
        verdict.check(not (harm := unharmed(fleet, pids)), harm)
        letters = dead_letters(rig)
        fleet.stop()
        verdict.add(rig.verdict(dead=rig.dead()))
        escaped = [line for line in fleet.log.other_lines() if "Traceback" in line]
    reasons, wanted = Counter(reason for reason, _ in letters), Counter(reason for _, reason in bad)
    wanted["oversized"] += 3
    verdict.figures |= {"bad": len(bad) + 3, "dead": dict(reasons), "grown_mib": round(grown / MIB, 1)}
    verdict.check(reasons == wanted, f"dead letters {dict(reasons)}, expected {dict(wanted)}")
    missing = Counter(raw for raw, why in bad if why in KEPT_AS_IT_WAS) - Counter(raw for _, raw in letters)
    verdict.check(not missing, f"{len(missing)} dead letters without their bytes: {next(iter(missing), b'')[:80]!r}")
    verdict.check(grown < FLAT_BYTES, f"a worker grew by {grown / MIB:.1f} MiB")
    verdict.check(not escaped, f"exceptions escaped: {escaped[:3]}")
    return verdict


# The others were changed on their way: parked, or cut off at the limit.
KEPT_AS_IT_WAS = {"malformed", "rejected", "expired", "exhausted"}


def _push_mixed(rig: Rig, bad: list[bytes], good: int) -> None:
    """Bad and good ones in random order; one good one in ten is odd."""
    raws = [*bad]
    for _ in range(good):
        raw = rig.message()
        raws.append(hostile.odd(rig.rng, json.loads(raw)["payload"]["n"]) if rig.rng.random() < 0.1 else raw)
    rig.enqueued.update(oracle.id_of(raw) for raw in raws[len(bad) :])
    rig.rng.shuffle(raws)
    for first in range(0, len(raws), 1000):
        rig.server.client.rpush(QUEUE, *raws[first : first + 1000])


def _huge_bodies(rig: Rig, verdict: Verdict, *, idle: bool = False) -> None:
    """Three bodies of 50 MB become dead letters without ever leaving the server."""
    sent = sent_bytes(rig)
    bodies = [b'"' + bytes([letter]) * 50_000_000 + b'"' for letter in b"abc"]
    if not idle:  # something small rings the bells
        small = [rig.message(sleep=0.05) for _ in range(SMALL)]
        rig.enqueued.update(oracle.id_of(raw) for raw in small)
        bodies = small + bodies
    rig.server.client.rpush(QUEUE, *bodies)
    wait_until(lambda: count_dead(rig) == 3, 30, "they are dead letters")
    shipped = sent_bytes(rig) - sent
    verdict.figures["sent_for_150_mb_bytes"] = shipped
    verdict.check(shipped < 1_000_000, f"the server sent {shipped} bytes for bodies that nobody is to see")


@case("T30-idle", "a body of 50 MB that comes to an idle worker becomes a dead letter without being shipped")
def huge_body_to_an_idle_worker(scale: Scale) -> Verdict:
    verdict = Verdict()
    with Rig(scale, "T30-idle") as rig:
        fleet = rig.fleet("--procs", "1").ready()
        rig.enqueue(1)
        wait_until(rig.finished, 10)
        _huge_bodies(rig, verdict, idle=True)
        fleet.stop()
    return verdict


@case("T31", "a task that only the next version knows is enqueued early: it waits and runs there, nothing is given up")
def two_versions(scale: Scale) -> Verdict:
    with Rig(scale, "T31") as rig:
        old = rig.fleet("--procs", "1").ready()
        rig.push(rig.message("brand_new") for _ in range(scale.pick(50, 2_000)))
        rig.enqueue(scale.pick(500, 20_000), longest_s=0.02)
        scheduled = f"asyncq:{{{QUEUE}}}:{QUEUE}:scheduled"
        wait_until(lambda: rig.server.client.zcard(scheduled) >= scale.pick(50, 2_000), 60, "they are parked")
        new = rig.fleet("--procs", "1", app="tests.chaos.tasks_next").ready()
        wait_until(lambda: rig.done(len(rig.enqueued) - scale.pick(50, 2_000)), 120, "what both know")
        code = old.stop()
        rig.enqueue(100)
        wait_until(rig.finished, 60, "the new version runs what was parked")
        new.stop()
        verdict = rig.verdict()
    verdict.check(code == 0, f"the old version's exit code is {code}")
    return verdict
