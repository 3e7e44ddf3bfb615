"""Cases in which the way to Redis is broken: half-open connections, lost replies, requests that come late."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from asyncq import SyncClient
from asyncq.core.envelope import Envelope
from asyncq.core.errors import BrokerError
from tests.chaos import poison
from tests.chaos.redis_trouble import AWAKE_S, drained, ended, fleet_of, hearing, push_mixed
from tests.chaos.rig import QUEUE, Rig, holds_within
from tests.chaos.verdict import Scale, Verdict, case
from tests.support.proxy_process import ProxyProcess
from tests.support.states import wait_until
from tests.support.toxics import Toxic

BLOCK_S = 5.0  # how long a worker waits in one blocking move
REPLY_S = 5.0  # how long it waits for a reply, on top of the time the command blocks
LATE_S = REPLY_S + 0.7


@contextmanager
def proxied(scale: Scale, name: str, **more: str) -> Iterator[tuple[Rig, ProxyProcess]]:
    """A rig and a proxy before its server."""
    with (
        Rig(scale, name, **more) as rig,  # type: ignore[arg-type]
        ProxyProcess(rig.server.url, seed=rig.rng.getrandbits(32)) as proxy,
    ):
        yield rig, proxy


def blocked(rig: Rig) -> int:
    """How many connections wait in a blocking move, in the eyes of the server."""
    return sum(row["cmd"] == "blmove" and "b" in row["flags"] for row in rig.server.client.client_list())


def settled(proxy: ProxyProcess) -> int:
    """How many connections have been opened, if none was for a second: keeper and admin open theirs when they do."""
    before = proxy.accepted()
    return 0 if holds_within(lambda: proxy.accepted() != before, 1.0) else before


@case("T17", "half-open while blocked: what is pushed meanwhile runs within block time, time-out and back-off")
def half_open_while_blocked(scale: Scale) -> Verdict:
    with proxied(scale, "T17") as (rig, proxy):
        fleet = fleet_of(rig, url=proxy.url)
        wait_until(lambda: blocked(rig) == 2, what="both workers wait")
        holes = proxy.black_hole("BLMOVE")
        began = time.monotonic()
        rig.enqueue(1000, longest_s=0.02)
        bound_s = BLOCK_S + REPLY_S + AWAKE_S
        inboxes = sum(":inbox:" in key for key in rig.left())
        ran = holds_within(lambda: rig.done(1000), bound_s)
        took_s = time.monotonic() - began
        verdict = ended(rig, fleet)
    verdict.check(holes == 2, f"{holes} connections were made half-open, expected 2")
    verdict.check(inboxes == 2, f"{inboxes} inboxes held what the server gave to nobody, expected 2")
    verdict.check(ran, f"1,000 not run within {bound_s} s")
    verdict.figures["all_run_s"] = round(took_s, 2)
    return verdict


@case("T18", "half-open on the connection for commands: noticed within the time-out for replies")
def half_open_commands(scale: Scale) -> Verdict:
    with proxied(scale, "T18") as (rig, proxy):
        fleet = fleet_of(rig, url=proxy.url)
        rig.enqueue(scale.pick(2_000, 50_000), longest_s=0.02)
        verdict, times = Verdict(), scale.pick(1, 5)
        for k in range(times):
            done = 100 + k * 2_000
            wait_until(lambda done=done: rig.done(done), 60)
            holes = proxy.black_hole("EVALSHA")
            wait_until(lambda: fleet.log.events("redis is away, trying again"), REPLY_S + AWAKE_S, "noticed")
            verdict.check(holes > 0, "no connection was made half-open")
        verdict.add(ended(rig, fleet, within_s=120))
    return verdict


def many_faults(scale: Scale, name: str, messages: int, *toxics: Toxic, kind: str, longest_s: float = 0.02) -> Verdict:
    """A fleet behind toxics; at the end nothing may have run twice, nor been retried or buried twice."""
    with proxied(scale, name) as (rig, proxy):
        fleet = fleet_of(rig, url=proxy.url)
        proxy.set(*toxics)
        rig.enqueue(messages, longest_s=longest_s)
        dead = push_mixed(rig, messages // 100)
        verdict = drained(rig, scale.pick(60, 170))
        struck = proxy.struck()
        proxy.set()
        verdict.add(ended(rig, fleet, dead=dead))
    verdict.check(struck.get(kind), f"{struck} struck, expected some {kind}")
    verdict.figures["struck"] = struck
    return verdict


@case("T19", "replies are lost, whole or from the middle: nothing lost, stranded or run twice")
def replies_cut(scale: Scale) -> Verdict:
    share = scale.pick(0.05, 0.01)
    whole = Toxic(kind="cut", way="down", share=share / 2)
    part = Toxic(kind="cut-inside", way="down", share=share / 2)
    return many_faults(scale, "T19", scale.pick(4_000, 50_000), whole, part, kind="cut")


@case("T20", "requests come later than their time-out: the late execution is found, nothing is lost or run twice")
def requests_late(scale: Scale) -> Verdict:
    late = Toxic(
        kind="latency",
        way="up",
        marker=b"EVALSHA",
        share=scale.pick(0.2, 0.01),
        limit=scale.pick(2, 40),  # each stands a worker still for 5 s
        delay_s=LATE_S,
        jitter_s=2.0,
    )
    # Long enough that the queue is not empty yet when the late ones arrive: else they take nothing.
    messages, longest_s = scale.pick((1_600, 0.3), (50_000, 0.05))
    return many_faults(scale, "T20", messages, late, kind="latency", longest_s=longest_s)


@case("T34", "every reply to a settlement is lost for a while: nothing runs again, all is settled and counted once")
def settlements_unanswered(scale: Scale) -> Verdict:
    with proxied(scale, "T34") as (rig, proxy):
        fleet = fleet_of(rig, url=proxy.url)
        wanted = scale.pick(2_000, 20_000)
        rig.enqueue(wanted, longest_s=0.02)
        wait_until(lambda: rig.done(200))
        proxy.set(Toxic(kind="cut", way="down", marker=b"HDEL"))
        holds_within(lambda: False, scale.pick(3.0, 30.0))
        lost = proxy.struck().get("cut", 0)
        proxy.set()
        verdict = drained(rig, 60)
        holds_within(lambda: processed(fleet.page()) == wanted, 5)
        counted = processed(fleet.page())
        verdict.add(ended(rig, fleet))
    verdict.check(lost > 0, "no reply was lost")
    verdict.check(counted == wanted, f"{counted} counted as processed, {wanted} enqueued")
    verdict.figures["replies_lost"] = lost
    return verdict


def processed(page: str) -> float:
    """The sum of asyncq_tasks_processed_total."""
    rows = [line for line in page.splitlines() if line.startswith("asyncq_tasks_processed_total{")]
    return sum(float(row.rpartition(" ")[2]) for row in rows)


@case("T32", "one id pushed 100 times runs 100 times; retry-safe enqueues through lost replies are enqueued once each")
def same_id(scale: Scale) -> Verdict:
    with proxied(scale, "T32") as (rig, proxy):
        same = rig.message()
        rig.push(same.replace(b'"n": 0', b'"n": %d' % n) for n in range(10_000, 10_100))
        proxy.set(Toxic(kind="cut", way="down", share=0.2), Toxic(kind="cut-inside", way="down", share=0.1))
        with SyncClient(proxy.url) as client:
            asked = [_enqueue_until_known(rig, client) for _ in range(scale.pick(60, 3_000))]
        struck = proxy.struck()
        proxy.set()
        waiting = rig.server.client.llen(QUEUE)
        fleet = fleet_of(rig)
        verdict = ended(rig, fleet)
    verdict.check(waiting == 100 + len(asked), f"{waiting} in the queue, expected {100 + len(asked)}")
    verdict.check(sum(struck.values()) > len(asked) / 10, f"few replies were lost: {struck}")
    verdict.figures |= {"struck": struck, "calls_again": sum(asked)}
    return verdict


def _enqueue_until_known(rig: Rig, client: SyncClient) -> int:
    """Enqueue one message retry-safe; a caller who is not told asks again with the same envelope. How often."""
    fields = json.loads(rig.message())
    envelope = Envelope(QUEUE, fields, retry_safe=True)
    again = 0
    while True:
        try:
            client.enqueue(envelope)
            break
        except BrokerError:
            again += 1
    rig.enqueued.add(str(fields["payload"]["n"]))
    return again


def rough(scale: Scale) -> tuple[Toxic, ...]:
    """Everything a network can do, at once; more often at short scale, where there are fewer round trips."""
    often = scale.pick(3.0, 1.0)
    return (
        Toxic(kind="cut", way="down", share=0.005 * often),
        Toxic(kind="cut-inside", way="down", share=0.005 * often),
        Toxic(kind="cut", way="up", share=0.005 * often),
        Toxic(kind="reset", way="down", share=0.005 * often),
        Toxic(kind="slice", way="down", share=0.01 * often),
        Toxic(kind="latency", way="up", share=0.1, delay_s=0.001, jitter_s=0.03),
        Toxic(kind="latency", way="up", share=0.004, delay_s=LATE_S),
        Toxic(kind="black-hole", way="up", share=0.002),
        Toxic(kind="black-hole", way="down", share=0.002),
    )


@case("bar-proxy", "a proxy that cuts, delays, slices and half-opens: nothing lost, nothing run twice")
def bar_proxy(scale: Scale) -> Verdict:
    return many_faults(scale, "bar-proxy", scale.pick(3_000, 30_000), *rough(scale), kind="latency")


@case("poison-proxy", "poison behind the same proxy: exactly the poisons are dead letters, nothing is lost or stranded")
def poison_proxy(scale: Scale) -> Verdict:
    with proxied(scale, "poison-proxy") as (rig, proxy):
        fleet = fleet_of(rig, "--lease", "3", url=proxy.url)
        proxy.set(*rough(scale))
        kinds = ("exit", "segv", "exit") * scale.pick(1, 5)
        poisons = poison.mix(rig, scale.pick(1_500, 20_000), kinds, 0.02)
        verdict = drained(rig, scale.pick(90, 170))
        struck = proxy.struck()
        proxy.set()
        verdict.add(hearing(rig, fleet))
        code = fleet.stop()
        poison.note_deaths(rig, fleet, poisons)
        verdict.add(poison.judged(rig, poisons))
    verdict.check(code == 0, f"the supervisor's exit code is {code}")
    verdict.figures["struck"] = struck
    return verdict


@case("bar-proxy-most", "at most once behind the same proxy: nothing run twice, nobody dies or goes deaf")
def bar_proxy_at_most_once(scale: Scale) -> Verdict:
    with proxied(scale, "bar-proxy-most") as (rig, proxy):
        fleet = fleet_of(rig, "--delivery", "at-most-once", url=proxy.url)
        proxy.set(*rough(scale))
        rig.enqueue(scale.pick(1_500, 30_000), longest_s=0.02)
        emptied = holds_within(lambda: rig.server.client.llen(QUEUE) == 0, 120)
        proxy.black_hole("BLPOP")
        struck = proxy.struck()
        proxy.set()
        verdict = hearing(rig, fleet, BLOCK_S + REPLY_S + AWAKE_S)
        died, code = fleet.log.events("child died"), fleet.stop()
        found = rig.findings()
    verdict.check(emptied, "the queue was not emptied")
    verdict.check(not died and code == 0, f"died: {died[:3]}, exit code {code}")
    verdict.check(not found.duplicates, f"{found.duplicates} ran twice")
    verdict.figures |= {"n": found.enqueued, "lost": len(found.lost), "struck": struck}
    return verdict


@case("idle", "an empty queue for longer than every time-out disturbs nobody")
def empty_queue(scale: Scale) -> Verdict:
    with proxied(scale, "idle") as (rig, proxy):
        fleet = fleet_of(rig, url=proxy.url)
        wait_until(lambda: blocked(rig) == 2, what="both workers wait")
        before = wait_until(lambda: settled(proxy), 20, "nobody connects any more")
        holds_within(lambda: False, scale.pick(BLOCK_S + 1.5, 30.0))
        after, away = proxy.accepted(), fleet.log.events("redis is away, trying again")
        began = time.monotonic()
        rig.enqueue(100)
        ran = holds_within(lambda: rig.done(100), 1.0)
        took_s = time.monotonic() - began
        verdict = ended(rig, fleet)
    verdict.check(not away, f"somebody thought Redis was away: {away[:3]}")
    verdict.check(after == before, f"{after - before} connections were opened while nothing happened")
    verdict.check(ran, "100 messages not run within 1 s after the pause")
    verdict.figures["woke_s"] = round(took_s, 3)
    return verdict
