"""Cases in which a supervisor is asked to stop: under load, with handlers that do not end, too often, too early."""

import json
import signal
import time
from collections.abc import Sequence

from tests.chaos.fleets import Fleet
from tests.chaos.rig import QUEUE, Rig
from tests.chaos.verdict import Scale, Verdict, case
from tests.support.states import wait_until

TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT

# What starting and stopping processes may add on a machine that is busy with other things.
SLACK_S = 3.0


def stop_in(fleet: Fleet, limit_s: float, *signals: signal.Signals) -> tuple[int, float, str]:
    """Send the signals. Returns the exit code, the seconds it took, and a sentence if they were too many."""
    began = time.monotonic()
    fleet.signal(*signals)
    code = fleet.wait(limit_s + 60)
    took_s = time.monotonic() - began
    return code, took_s, "" if took_s <= limit_s else f"took {took_s:.1f} s to stop, expected at most {limit_s:.1f} s"


@case("T35", "SIGTERM under full load: what runs ends, nothing runs twice, nothing stays in flight, exit code 0")
def under_load(scale: Scale) -> Verdict:
    with Rig(scale, "T35") as rig:
        fleet = rig.fleet("--procs", "3", "--per-proc", "20").ready()
        rig.enqueue(scale.pick(2_000, 50_000), longest_s=0.3)
        wait_until(lambda: rig.started(500), 60)
        code, took_s, late = stop_in(fleet, 0.3 + SLACK_S, TERM)
        rig.record.read()
        done, ready, left = len(rig.record.done), rig.server.client.llen(QUEUE), rig.left()
        second = rig.fleet("--procs", "3", "--per-proc", "100").ready()
        wait_until(rig.finished, 300, "the rest has ended")
        second.stop()
        verdict = rig.verdict()
    verdict.figures |= {"drain_s": round(took_s, 2), "done_before": done, "left_ready": ready}
    verdict.check(code == 0, f"exit code {code}, expected 0")
    verdict.check(not late, late)
    verdict.check(verdict.figures["executions"] == len(rig.enqueued), "what ran was cancelled instead of waited for")
    verdict.check(set(left) <= {QUEUE}, f"after the drain messages lie in {left}")
    verdict.check(done + ready == len(rig.enqueued), f"{done} done and {ready} ready, of {len(rig.enqueued)}")
    return verdict


@case("T36", "SIGTERM with handlers longer than the grace, some of which ignore it: handed back unchanged, none lost")
def too_long(scale: Scale) -> Verdict:
    drain_s, cancel_s = 1.0, 1.0
    with Rig(scale, "T36") as rig:
        flags = ("--procs", "2", "--per-proc", "10", "--drain-timeout", f"{drain_s}", "--cancel-timeout", f"{cancel_s}")
        fleet = rig.fleet(*flags).ready()
        raws = [rig.message("stubborn" if n % 5 == 0 else "work", sleep=60) for n in range(20)]
        raws += [rig.message(sleep=0.01) for _ in range(5)]
        rig.push(raws)
        wait_until(lambda: rig.started(20))
        code, took_s, late = stop_in(fleet, drain_s + cancel_s + SLACK_S, TERM)
        back = rig.server.client.lrange(QUEUE, 0, -1)
        verdict = Verdict(figures={"n": len(raws), "drain_s": round(took_s, 2), "handed_back": len(back)})
        left = rig.left()
    verdict.check(code == 75, f"exit code {code}, expected 75")
    verdict.check(not late, late)
    verdict.check(sorted(back) == sorted(raws), f"{len(back)} handed back, of {len(raws)}; attempts or bytes changed?")
    verdict.check(set(back[-5:]) == set(raws[-5:]), "what ran does not lie at the head of the queue")
    verdict.check(set(left) <= {QUEUE}, f"messages lie in {left}")
    return verdict


@case(
    "T37", "signals in any order, during the boot and while Redis is down: out in time, with the documented exit code"
)
def any_signals(scale: Scale) -> Verdict:
    verdict = Verdict()
    with Rig(scale, "T37") as rig:
        wanted: list[tuple[str, Sequence[signal.Signals], int, float]] = [
            ("five_terms", [TERM] * 5, 75, 1.0),
            ("term_int", [TERM, INT], 75, 1.0),
            ("int", [INT], 75, 2.0),
            ("quit", [QUIT], 75, 1.0),
            ("hup_usr1_tstp_term", [signal.SIGHUP, signal.SIGUSR1, signal.SIGTSTP, TERM], 75, 2.0),
        ]
        raw = rig.message(sleep=60)
        rig.push([raw])
        for name, signals, code, limit_s in wanted:
            fleet = rig.fleet("--procs", "1", "--drain-timeout", "1", "--cancel-timeout", "1").ready()
            wait_until(lambda name=name: rig.started(len(verdict.figures) + 1), what=f"{name}: it runs")
            _note(verdict, name, stop_in(fleet, limit_s + SLACK_S, *signals), code)
            verdict.check(rig.left() == {QUEUE: 1}, f"{name}: in keys {rig.left()}, expected the message in the queue")
        verdict.check(rig.server.client.lrange(QUEUE, 0, -1) == [raw], "the message was changed")
        _during_boot(rig, verdict)
        _without_redis(rig, verdict)
        verdict.check(json.dumps(rig.dead()) == "{}", f"dead letters: {rig.dead()}")
    return verdict


def _note(verdict: Verdict, name: str, ended: tuple[int, float, str], code: int) -> None:
    found, took_s, late = ended
    verdict.figures[name] = round(took_s, 2)
    verdict.check(found == code, f"{name}: exit code {found}, expected {code}")
    verdict.check(not late, f"{name}: {late}")


def _during_boot(rig: Rig, verdict: Verdict) -> None:
    """At random moments before it is ready: nothing has run, or what ran was handed back."""
    for number in range(rig.scale.pick(3, 40)):
        fleet = rig.fleet("--procs", "2", "--drain-timeout", "1", "--cancel-timeout", "1")
        wait_until(lambda fleet=fleet: fleet.log.events("supervising"), 30, "its handlers are in place soon")
        moment = time.monotonic() + rig.rng.uniform(0, 0.6)
        wait_until(lambda moment=moment: time.monotonic() >= moment)
        code, took_s, late = stop_in(fleet, 2 + SLACK_S, TERM)
        verdict.figures["boot"] = max(round(took_s, 2), verdict.figures.get("boot", 0))
        verdict.check(
            code in (0, 75), f"boot {number}: exit code {code}, expected 0 or 75; {fleet.log.other_lines()[-3:]}"
        )
        verdict.check(not late, f"boot {number}: {late}")
        verdict.check(rig.left() == {QUEUE: 1}, f"boot {number}: in keys {rig.left()}")


def _without_redis(rig: Rig, verdict: Verdict) -> None:
    """Redis dies while a task runs, then SIGTERM comes: out in time; the message is where it was when Redis is back."""
    rig.record.read()
    starts = rig.record.starts
    fleet = rig.fleet("--procs", "1", "--drain-timeout", "1", "--cancel-timeout", "1").ready()
    wait_until(lambda: rig.started(starts + 1), what="it runs")
    rig.server.client.save()
    rig.server.kill()
    _note(verdict, "redis_down", stop_in(fleet, 1 + 1 + 2 + 5 + SLACK_S, TERM), 75)
    rig.server.start()
    verdict.check(sum(rig.left().values()) == 1, f"redis_down: in keys {rig.left()}, expected one message")
