"""What the cases of Redis trouble share: a fleet that must come through, and how it is judged when the trouble is over.

A worker neither dies nor goes deaf: after every fault each process that was there before still takes its share.
"""

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from tests.chaos.fleets import Fleet
from tests.chaos.rig import Rig, holds_within
from tests.chaos.verdict import Verdict

PER_PROC = 20
PROCS = 2
# The longest back-off (2 s), one more try, and a busy machine.
AWAKE_S = 6.0
PROBE_S = 0.2


def fleet_of(rig: Rig, *flags: str, url: str = "") -> Fleet:
    """Two workers that take messages."""
    fleet = rig.fleet("--procs", str(PROCS), "--per-proc", str(PER_PROC), *flags, url=url).ready()
    if "at-most-once" not in flags:  # then nobody is registered
        rig.registered(fleet)
    return fleet


@contextmanager
def meanwhile(step: Callable[[], object], every_s: float) -> Iterator[None]:
    """Do something again and again beside the block, in a thread. An error in it fails the case."""
    over, failures = threading.Event(), list[BaseException]()

    def repeat() -> None:
        while not over.wait(every_s):
            try:
                step()
            except BaseException as error:
                failures.append(error)
                return

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]


def push_mixed(rig: Rig, each: int) -> list[str]:
    """Some that are retried, so many, and some that have expired, so many, in between. Ids of the latter."""
    expired = [json.dumps({**json.loads(rig.message()), "expires_at": 1.0}).encode() for _ in range(each)]
    rig.push((rig.message("flaky", failures=1) for _ in range(each)), front=True)
    return rig.push(expired, front=True)


def drained(rig: Rig, within_s: float) -> Verdict:
    """Wait until no message is anywhere; a problem if that does not come."""
    began = time.monotonic()
    done = holds_within(rig.finished, within_s)
    verdict = Verdict(figures={"drained_s": round(time.monotonic() - began, 2)})
    verdict.check(done, f"not drained within {within_s} s: {rig.progress()}")
    return verdict


def hearing(rig: Rig, fleet: Fleet, within_s: float = AWAKE_S) -> Verdict:
    """Whether every worker still takes messages: probed until each has taken one, as one may still be backing off."""
    began, first = time.monotonic(), len(rig.record.lines)
    verdict, deaf = Verdict(), set(fleet.workers())
    while deaf and not verdict.problems and time.monotonic() < began + within_s:
        ids = _probe(rig)
        ran = holds_within(lambda ids=ids: rig.done(0) and ids <= rig.record.done, within_s)  # type: ignore[misc]
        verdict.check(ran, f"deaf: {len(ids - rig.record.done)} of {len(ids)} not run within {within_s} s")
        deaf -= {int(line.split()[3]) for line in rig.record.lines[first:] if line.startswith("S ")}
    verdict.figures["awake_s"] = round(time.monotonic() - began, 2)
    verdict.check(not deaf, f"deaf: workers {deaf} took nothing within {within_s} s")
    return verdict


def _probe(rig: Rig) -> set[str]:
    """As many messages as all can run at a time, long enough that nobody runs two of them in a row."""
    return set(rig.enqueue(PROCS * PER_PROC, shortest_s=PROBE_S, longest_s=PROBE_S))


def ended(rig: Rig, fleet: Fleet, *, deaths: int = 0, within_s: float = 60.0, dead: Collection[str] = ()) -> Verdict:
    """The end of a case: all drained, nobody deaf, nobody died but who was killed, and the oracle is content.

    `dead`: ids of those that must be dead letters.
    """
    verdict = drained(rig, within_s)
    verdict.add(hearing(rig, fleet))
    died = fleet.log.events("child died")
    verdict.check(len(died) == deaths, f"{len(died)} children died, {deaths} were killed: {died[:3]}")
    code = fleet.stop()
    verdict.check(code == 0, f"the supervisor's exit code is {code}")
    verdict.check(not (odd := fleet.log.other_lines()), f"not from the log: {odd[:5]}")
    tracebacks = [line[:2000] for line in fleet.log.lines if '"traceback"' in line]
    verdict.check(not tracebacks, f"tracebacks: {tracebacks[:2]}")
    verdict.add(rig.verdict(dead=dead))
    return verdict
