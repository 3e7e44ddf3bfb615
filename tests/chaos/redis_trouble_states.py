"""Cases in which Redis answers, and refuses: full, failing to save, busy, without scripts, killing, pausing clients."""

import time
from contextlib import suppress
from threading import Thread

import redis

from asyncq import SyncClient, create_task
from asyncq.core.envelope import Envelope
from asyncq.core.errors import BrokerUnavailableError
from tests.chaos.redis_trouble import drained, ended, fleet_of, meanwhile, push_mixed
from tests.chaos.rig import QUEUE, Rig, holds_within
from tests.chaos.verdict import Scale, Verdict, case
from tests.support.states import wait_until

REFUSED_S = 0.050
AWAY = "redis is away, trying again"
BUSY_S = 2.0


@case("T21", "Redis is full: producers fail fast with a typed error, workers drain it, a killed one is replaced")
def full(scale: Scale) -> Verdict:
    with Rig(scale, "T21") as rig:
        client = rig.server.client
        filled = scale.pick(8_000, 60_000)
        rig.push(rig.message("work", sleep=0.005, fill="x" * 1_000) for _ in range(filled))
        dead = push_mixed(rig, 30)
        client.config_set("maxmemory", 1)
        verdict = Verdict()
        _refused_fast(rig, verdict)
        fleet = fleet_of(rig)
        wait_until(lambda: rig.done(500))
        victim = fleet.workers()[0]
        rig.kill(victim)
        wait_until(lambda: len(set(fleet.workers()) - {victim}) == 2, 10, "a replacement is ready")
        _takes_part(rig, fleet.workers(), verdict)
        verdict.add(drained(rig, 120))
        _refused_fast(rig, verdict)
        client.config_set("maxmemory", 0)
        verdict.add(ended(rig, fleet, deaths=1, dead=dead))
    return verdict


def _refused_fast(rig: Rig, verdict: Verdict) -> None:
    """Plain and retry-safe, each within the bar. The first call of a client also imports and connects."""
    with SyncClient(rig.server.url) as producer:
        for k, retry_safe in enumerate((False, False, False, True)):
            envelope = Envelope(QUEUE, create_task("work", {"n": -1, "sleep": 0}), retry_safe=retry_safe)
            began = time.monotonic()
            try:
                producer.enqueue(envelope)
                verdict.problems.append("a full Redis accepted a message")
            except BrokerUnavailableError as error:
                took_s = time.monotonic() - began
                verdict.check("maxmemory" in str(error), f"expected a sentence about maxmemory, found: {error}")
                if k and not retry_safe:
                    verdict.check(took_s < REFUSED_S, f"refused after {took_s:.3f} s, the bar is {REFUSED_S}")
                    verdict.figures["refused_s"] = round(took_s, 4)


def _takes_part(rig: Rig, pids: list[int], verdict: Verdict) -> None:
    """Registered at a full Redis: it runs something before all is drained."""

    def took() -> set[int]:
        rig.record.read()
        return {int(line.split()[3]) for line in rig.record.lines[-2_000:] if line.startswith("S ")}

    ran = holds_within(lambda: set(pids) <= took(), 10)
    verdict.check(ran, f"of the workers {pids} some took nothing while Redis was full")


@case("T22", "a Redis that evicts, and one that persists nothing, are warned of at the start")
def warned(scale: Scale) -> Verdict:
    flags = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    with Rig(scale, "T22", server_flags=flags) as rig:
        fleet = fleet_of(rig)
        holds_within(lambda: len(fleet.log.events("what redis can lose")) >= 2, 5)
        said = [event["finding"] for event in fleet.log.events("what redis can lose") if event["level"] == "warning"]
        verdict = ended(rig, fleet)
    for words in ("deletes queues", "persists nothing"):
        verdict.check(any(words in text for text in said), f"expected a warning that it {words}, found {said}")
    return verdict


@case("T23a", "Redis cannot save and refuses writes (MISCONF): no task fails or is blamed, then work resumes")
def saving_fails(scale: Scale) -> Verdict:
    with Rig(scale, "T23a") as rig:
        client = rig.server.client
        fleet = fleet_of(rig)
        client.config_set("save", "3600 1000000")
        rig.enqueue(scale.pick(3_000, 20_000), longest_s=0.04)
        wait_until(lambda: rig.done(100))
        in_the_way = rig.server.folder / "dump.rdb"
        in_the_way.mkdir()  # a snapshot cannot be given the name of a folder, whoever makes it
        _save(client, "err")
        seen = holds_within(lambda: fleet.log.events(AWAY), 5)
        holds_within(lambda: False, scale.pick(1.5, 10.0))
        refused = [event["error"] for event in fleet.log.events(AWAY)]
        in_the_way.rmdir()
        _save(client, "ok")
        verdict = ended(rig, fleet)
    verdict.check(seen and all("MISCONF" in text for text in refused), f"expected MISCONF in the log, found {refused}")
    return verdict


def _save(client: redis.Redis, status: str) -> None:
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == status, what=f"a save ends: {status}")


@case("T23b", "a script keeps Redis busy for 2 s: no task fails, then work resumes")
def busy(scale: Scale) -> Verdict:
    with Rig(scale, "T23b", server_flags=("--busy-reply-threshold", "100")) as rig:
        fleet = fleet_of(rig)
        rig.enqueue(scale.pick(3_000, 30_000), longest_s=0.02)
        verdict = Verdict()
        for k in range(scale.pick(1, 5)):
            wait_until(lambda k=k: rig.done(200 * (k + 1)))
            _keep_busy(rig)
        verdict.add(drained(rig, 60))
        _keep_busy(rig)  # again with everybody idle
        verdict.add(ended(rig, fleet))
        away = {event["error"].rpartition("now: ")[2].split()[0] for event in fleet.log.events(AWAY)}
    verdict.check("BUSY" in away, f"expected BUSY in the log, found {away}")
    return verdict


def _keep_busy(rig: Rig) -> None:
    """A script without an end, ended from outside: what scripts can see of the time differs from server to server."""
    looping = Thread(target=_loop, args=(rig.server.socket,))
    looping.start()
    try:
        wait_until(lambda: _is_busy(rig.server.socket), what="Redis is busy")
        holds_within(lambda: False, BUSY_S)
    finally:
        rig.server.client.script_kill()
        looping.join()


def _loop(socket: str) -> None:
    with redis.Redis(unix_socket_path=socket, socket_timeout=60) as client, suppress(redis.ResponseError):
        client.eval("while true do end", 0)


def _is_busy(socket: str) -> bool:
    try:
        with redis.Redis(unix_socket_path=socket) as client:
            client.get("a")
    except redis.ResponseError as error:
        return "busy" in str(error).lower()
    return False


@case("T24", "the scripts are forgotten every 50 ms: nothing lost, nothing run twice")
def scripts_forgotten(scale: Scale) -> Verdict:
    with Rig(scale, "T24") as rig:
        fleet = fleet_of(rig)
        flushes = 0

        def flush() -> None:
            nonlocal flushes
            rig.server.client.script_flush()
            flushes += 1

        with meanwhile(flush, 0.05):
            rig.enqueue(scale.pick(4_000, 20_000), longest_s=0.02)
            rig.push([rig.message("flaky", sleep=0, failures=1) for _ in range(50)])
            verdict = drained(rig, 60)
        verdict.add(ended(rig, fleet))
    verdict.check(flushes >= 5, f"{flushes} flushes, expected at least 5")
    verdict.figures["flushes"] = flushes
    return verdict


@case("client-kill", "every connection is killed again and again, idle and at work: nothing lost, nothing run twice")
def connections_killed(scale: Scale) -> Verdict:
    with Rig(scale, "client-kill") as rig:
        fleet = fleet_of(rig)
        client = rig.server.client
        killed: dict[str, int] = {}

        def kill() -> None:
            for row in client.client_list():
                if row["name"].startswith("asyncq:"):
                    kind = f"{'blocked in' if 'b' in row['flags'] else 'at'} {row['cmd'].partition('|')[0]}"
                    killed[kind] = killed.get(kind, 0) + client.client_kill_filter(_id=row["id"])

        with meanwhile(kill, 0.15):
            verdict = Verdict()
            for _ in range(scale.pick(5, 40)):  # now and then everybody is idle and blocked
                rig.enqueue(scale.pick(300, 1_000), longest_s=0.02)
                verdict.add(drained(rig, 30))
                holds_within(lambda: False, 0.3)
        verdict.add(ended(rig, fleet))
    blocked = killed.get("blocked in blmove", 0)
    verdict.check(blocked, f"no connection was killed while blocked: {killed}")
    verdict.figures["killed"] = killed
    return verdict


@case("client-pause", "Redis lets clients wait, first writes, then everything: nothing lost, nothing run twice")
def clients_paused(scale: Scale) -> Verdict:
    pause_s = scale.pick(1.0, 3.0)
    with Rig(scale, "client-pause") as rig:
        fleet = fleet_of(rig)
        verdict = Verdict()
        for kind, seconds in (("WRITE", pause_s), ("ALL", pause_s), *scale.pick((), (("ALL", 8.0),))):
            before = len(rig.record.done)
            rig.enqueue(1_000, longest_s=0.02)
            wait_until(lambda before=before: rig.done(before + 100))
            rig.server.client.execute_command("CLIENT", "PAUSE", int(seconds * 1000), kind)
            holds_within(lambda: False, seconds)
            verdict.add(drained(rig, 30), f"{kind}_{seconds:.0f}_")
        rig.server.client.execute_command("CLIENT", "PAUSE", int(pause_s * 1000), "ALL")  # and with everybody idle
        holds_within(lambda: False, pause_s)
        verdict.add(ended(rig, fleet))
    return verdict
