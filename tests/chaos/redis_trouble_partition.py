"""A case in which one host is cut off from Redis for longer than its lease while its processes live on."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

from tests.chaos import oracle
from tests.chaos.oracle import Execution
from tests.chaos.redis_trouble import AWAKE_S
from tests.chaos.redis_trouble_network import proxied
from tests.chaos.rig import holds_within
from tests.chaos.verdict import Scale, Verdict, case
from tests.support.states import wait_until

LEASE_S = 1.0
# A lease that is missing is only suspect; this long after it ran out others take what it guarded.
REAPED_S = 8.0


@case(
    "T38", "a host is cut off for five leases with --on-lease-lost cancel: no message runs on two hosts at any instant"
)
def partition(scale: Scale) -> Verdict:
    flags = ("--lease", f"{LEASE_S:g}", "--on-lease-lost", "cancel", "--per-proc", "20")
    with proxied(scale, "T38") as (rig, proxy):
        cut_off = rig.worker(*flags, url=proxy.url)
        count = 20
        # Longer than it takes until others get them: a host that went on with them would be seen beside the other.
        rig.enqueue(count, shortest_s=LEASE_S + REAPED_S, longest_s=LEASE_S + REAPED_S + 1.0)
        wait_until(lambda: rig.started(count), 20)
        proxy.part()
        other = rig.worker(*flags)  # now: before, it would have taken some of them
        holds_within(lambda: False, 5 * LEASE_S)
        again = holds_within(lambda: rig.started(2 * count), LEASE_S + REAPED_S)
        proxy.heal()
        done = holds_within(lambda: rig.done(count), 30)
        probe = rig.enqueue(2 * 20, shortest_s=0.3, longest_s=0.3)
        heard = holds_within(lambda: rig.done(count + len(probe)), AWAKE_S)
        back = holds_within(lambda: cut_off.log.events("redis is back"), AWAKE_S)
        codes = [cut_off.stop(), other.stop()]
        verdict = rig.verdict()
        twice = side_by_side(oracle.parse(rig.record.lines))
    verdict.check(again, "the other host never got the messages")
    verdict.check(done and heard, f"not all ended: done {done}, probe {heard}")
    verdict.check(back, "the host that was cut off did not come back")
    verdict.check(not twice, f"ran on two hosts at once: {twice[:5]}")
    verdict.check(codes == [0, 0], f"exit codes {codes}")
    return verdict


def side_by_side(executions: Iterable[Execution]) -> list[str]:
    """Ids of messages of which two processes ran an execution at the same instant. Pure."""
    runs: dict[str, list[Execution]] = defaultdict(list)
    for execution in executions:
        runs[execution.id].append(execution)
    return sorted({a.id for found in runs.values() for a, b in combinations(found, 2) if _overlap(a, b)})


def _overlap(a: Execution, b: Execution) -> bool:
    return a.pid != b.pid and a.start_at < b.end_at and b.start_at < a.end_at
