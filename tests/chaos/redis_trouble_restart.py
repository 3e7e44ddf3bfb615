"""Cases in which Redis goes away and comes back: killed, down for long, loading, emptied, demoted."""

import json
import time
from threading import Event, Thread

import redis

from asyncq import SyncClient
from asyncq.broker.ping import ping
from asyncq.core.envelope import Envelope
from asyncq.core.errors import BrokerError
from tests.chaos.redis_trouble import PER_PROC, PROCS, drained, ended, fleet_of, hearing, meanwhile
from tests.chaos.rig import QUEUE, Rig, holds_within
from tests.chaos.servers import free_port
from tests.chaos.verdict import NotRun, Scale, Verdict, case
from tests.support.states import wait_until

RESUMED_S = 3.0
PACE_S = 0.008


class Producer(Thread):
    """Enqueues retry-safe messages one after the other, each until Redis has said that it is there."""

    def __init__(self, rig: Rig, count: int) -> None:
        super().__init__()
        self._rig = rig
        self._envelopes = [Envelope(QUEUE, json.loads(rig.message(sleep=0.005)), retry_safe=True) for _ in range(count)]
        self.refused = 0

    def run(self) -> None:
        with SyncClient(self._rig.server.url) as client:
            for envelope in self._envelopes:
                while True:
                    try:
                        client.enqueue(envelope)
                        break
                    except BrokerError:
                        self.refused += 1
                        time.sleep(0.02)  # sleeps: a caller who tries again does not spin
                self._rig.enqueued.add(str(envelope.message["payload"]["n"]))
                time.sleep(PACE_S)  # sleeps: so that it enqueues through all the kills


class Witness(Thread):
    """Counts in a database of its own, to see whether Redis itself forgets what it has acknowledged.

    With appendfsync everysec it does: while an fsync is under way it puts writes off, and answers all the same.
    """

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self._client = redis.Redis(unix_socket_path=rig.server.socket, db=1, retry=None)
        self._over = Event()
        self._counting = Event()
        self._counting.set()
        self._acknowledged = self.forgotten = 0

    def run(self) -> None:
        while not self._over.wait(0.0005):
            self._counting.wait()
            try:
                self._acknowledged = int(self._client.incr("witness"))
            except redis.RedisError:
                self._counting.clear()

    def compare(self) -> None:
        """After a restart: what it counted against what it is told now."""
        wait_until(lambda: not self._counting.is_set(), what="the witness notices that Redis was killed")
        kept = int(self._client.get("witness") or 0)
        self.forgotten += max(0, self._acknowledged - kept)
        self._counting.set()

    def end(self) -> None:
        self._over.set()
        self._counting.set()
        self.join()
        self._client.close()


@case("T9", "Redis is killed every second and comes back with its append-only file: nothing lost, nothing run twice")
def killed_every_second(scale: Scale) -> Verdict:
    with Rig(scale, "T9", "everysec") as rig:
        fleet = fleet_of(rig)
        rig.enqueue(scale.pick(8_000, 50_000), longest_s=0.02)
        producer = Producer(rig, scale.pick(300, 2_000))
        producer.start()
        witness = Witness(rig)
        witness.start()
        kills = 0
        try:
            while kills < scale.pick(3, 7) or (not rig.finished() and kills < 60):
                rig.server.kill()
                rig.server.start()
                witness.compare()
                kills += 1
                holds_within(lambda: False, 1.0)
        finally:
            witness.end()
        producer.join()
        verdict = ended(rig, fleet, within_s=120)
    if verdict.problems and witness.forgotten:
        raise NotRun(
            f"killed during an fsync, Redis forgot {witness.forgotten} acknowledged writes of our witness, too"
        )
    verdict.figures |= {"redis_kills": kills, "enqueues_again": producer.refused, "forgotten": witness.forgotten}
    return verdict


@case("T10", "Redis is down for four leases with long tasks in flight: none runs twice, work resumes within 3 s")
def down_for_four_leases(scale: Scale) -> Verdict:
    lease_s = scale.pick(1, 2)
    with Rig(scale, "T10", "everysec") as rig:
        fleet = fleet_of(rig, "--lease", str(lease_s))
        watching = rig.worker("--per-proc", "1", "--lease", str(lease_s))  # would reap what it thinks is gone
        wait_until(lambda: watching.log.events("working"), 20)
        running = PROCS * PER_PROC
        rig.enqueue(running, shortest_s=0.5 * lease_s, longest_s=6.0 * lease_s)
        wait_until(lambda: rig.started(running))
        rig.enqueue(200, longest_s=0.5)
        rig.server.kill()
        holds_within(lambda: False, 4.0 * lease_s)
        starts = rig.record.starts
        rig.server.start()
        resumed = holds_within(lambda: rig.started(starts + 1), RESUMED_S)
        verdict = drained(rig, 60)
        code = watching.stop()
        verdict.add(ended(rig, fleet))
        reaped = fleet.log.events("reaped") + watching.log.events("reaped")
    verdict.check(resumed, f"no task started within {RESUMED_S} s")
    verdict.check(not reaped, f"somebody was reaped: {reaped[:3]}")
    verdict.check(code == 0, f"the exit code of the worker beside is {code}")
    return verdict


@case(
    "T12", "Redis with snapshots only is killed: what came after the last one is lost and nothing else, nobody is deaf"
)
def snapshots_only(scale: Scale) -> Verdict:
    with Rig(scale, "T12", server_flags=("--save", "3600 1000000")) as rig:
        fleet = fleet_of(rig)
        rig.enqueue(scale.pick(3_000, 30_000), longest_s=0.02)
        wait_until(lambda: rig.done(500))
        rig.server.client.save()
        before = set(rig.enqueued)
        rig.enqueue(500, longest_s=0.02)
        wait_until(lambda: rig.done(scale.pick(1_500, 5_000)))
        rig.server.kill()
        rig.server.start()
        verdict = drained(rig, 15)
        verdict.add(hearing(rig, fleet))
        said = [event["finding"] for event in fleet.log.events("what redis can lose")]
        died, code = fleet.log.events("child died"), fleet.stop()
        found = rig.findings()
    verdict.check(
        set(found.lost).isdisjoint(before), f"lost although it was saved: {sorted(before & set(found.lost))[:5]}"
    )
    verdict.check(not found.stranded, f"stranded: {dict(list(found.stranded.items())[:5])}")
    verdict.check(not died and code == 0, f"died: {died[:3]}, exit code {code}")
    verdict.check(any("up to 3600 s" in text for text in said), f"the start did not name the window: {said}")
    verdict.figures |= {"n": found.enqueued, "lost": len(found.lost), "duplicates": found.duplicates}
    return verdict


@case("T23c", "Redis is loading for a while: no task fails, work resumes")
def loading(scale: Scale) -> Verdict:
    keys = scale.pick(2_000, 10_000)
    slow = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    with Rig(scale, "T23c", "everysec", slow) as rig:
        fleet = fleet_of(rig)
        with redis.Redis(unix_socket_path=rig.server.socket, db=1) as other:  # nobody of ours looks into database 1
            for k in range(keys):
                other.set(f"filler:{k}", "x")
        rig.enqueue(2_000, shortest_s=0.02, longest_s=0.06)
        wait_until(lambda: rig.done(100))
        rig.server.kill()
        replies: set[str] = set()
        with meanwhile(lambda: replies.add(ping(rig.server.socket, 1.0).partition(" ")[0]), 0.05):
            rig.server.start()
        verdict = ended(rig, fleet)
    verdict.check("-LOADING" in replies, f"it was never loading, it answered {replies}")
    return verdict


@case("T46", "all keys are deleted by accident: said loudly, registered anew, what runs ends as fenced")
def emptied(scale: Scale) -> Verdict:
    lease_s = 2
    with Rig(scale, "T46") as rig:
        fleet = fleet_of(rig, "--lease", str(lease_s))
        running = rig.enqueue(PER_PROC, shortest_s=1.5, longest_s=1.5)
        wait_until(lambda: rig.started(PER_PROC))
        rig.server.client.flushall()
        wait_until(lambda: len(fleet.log.events("lease lost")) >= PROCS, lease_s + 3, "both workers say it")
        fresh = rig.enqueue(500, longest_s=0.02)
        ran = holds_within(lambda: rig.done(len(running) + len(fresh)), 10)
        events = list(fleet.log.events("lease lost"))
        verdict = drained(rig, 10)
        # Again with everybody idle: what is pushed now lands in the inbox of somebody who is not registered.
        rig.server.client.flushall()
        verdict.add(ended(rig, fleet))
    verdict.check(ran, "what ran, and what came later, did not end")
    verdict.check(all(event["level"] in ("warning", "error") for event in events), f"not loud: {events[:2]}")
    fenced = sum(event["running"] for event in events)
    verdict.check(fenced == PER_PROC, f"{fenced} were running when it was noticed, expected {PER_PROC}")
    return verdict


@case("readonly", "Redis becomes the replica of a dead master and is promoted again: refused meanwhile, then resumed")
def demoted(scale: Scale) -> Verdict:
    with Rig(scale, "readonly") as rig:
        fleet = fleet_of(rig)
        client = rig.server.client
        rig.enqueue(scale.pick(3_000, 30_000), longest_s=0.02)
        verdict = Verdict()
        for _ in range(scale.pick(1, 5)):
            wait_until(lambda: rig.done(200))
            client.replicaof("127.0.0.1", free_port())
            seen = holds_within(lambda: fleet.log.events("redis is away, trying again"), 5)
            verdict.check(seen, "nobody noticed that Redis refuses writes")
            holds_within(lambda: False, scale.pick(1.0, 3.0))
            client.replicaof("NO", "ONE")
        verdict.add(drained(rig, 60))
        # Again with everybody idle: a blocked move ends with UNBLOCKED.
        client.replicaof("127.0.0.1", free_port())
        holds_within(lambda: False, 0.5)
        client.replicaof("NO", "ONE")
        verdict.add(ended(rig, fleet))
    return verdict
