"""From the supervisor's real pages to what people are told: the roof's view, and the verdicts over it."""

import random
import time
from dataclasses import replace

import pytest

from asyncq.admin.gauges import worker_families
from asyncq.admin.health import FleetView, HealthLimits, Verdict, live, ready
from asyncq.cli.fleet import fleet_view, queues_in
from asyncq.supervisor.child import Ready, Spawn, Spawned, SpawnFailed, Start, Tick
from asyncq.supervisor.policy import delay_s
from asyncq.supervisor.scoreboard import Scoreboard, State, SupervisorState
from asyncq.supervisor.slots import ManagedSlot, make_slots
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings

LIMITS = HealthLimits()
SPECS = [ChildSpec("keeper", "x:y", gives_back=True), ChildSpec("admin", "x:y"), ChildSpec("worker", "x:y", count=2)]


class Tree:
    """The memory of a keeper, an admin and two workers."""

    def __init__(self) -> None:
        self.board = Scoreboard(4)
        self.board.supervisor.begin(2)
        self.keeper, _, *self.workers = make_slots(SPECS, self.board, SupervisorSettings())

    def view(self, later_s: float = 0.0) -> FleetView:
        """As it will be read some seconds from now, by a supervisor that beats."""
        view = fleet_view(self.board.snapshot(time.monotonic_ns() + int(later_s * 1e9)))
        return replace(view, arbiter_beat_age_s=0.0)


def start(slot: ManagedSlot) -> None:
    """The slot's process is made and says it is ready."""
    for event in (Start(), Tick(True), Spawned(100 + slot.page.index), Ready()):
        slot.feed(event, 0.0)
        if isinstance(event, Tick):
            slot.page.begin(slot.spec.role, slot.index)
    slot.page.beat()


def test_worker_is_shown_under_the_number_of_its_log_lines_and_with_its_own_region() -> None:
    tree = Tree()
    start(tree.keeper)
    for worker in tree.workers:
        start(worker)
    view = tree.view()
    assert [(worker.slot, worker.index, worker.pid) for worker in view.workers] == [(2, 0, 102), (3, 1, 103)]
    labels = {family.metric.name: [point.labels for point in family.points] for family in worker_families(view, LIMITS)}
    assert labels["asyncq_worker_up"] == [(("slot", "0"),), (("slot", "1"),)]
    assert labels["asyncq_worker_heartbeat_age_seconds"] == [(("slot", "0"),), (("slot", "1"),)]
    assert [dict(states)["state"] for states in labels["asyncq_worker_processes"]] == [
        "starting",
        "ready",
        "draining",
        "backoff",
        "fatal",
    ]


def test_fleet_is_not_live_when_every_fork_has_been_refused_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic_ns", lambda: int(now * 1e9))
    tree, rng, refused = Tree(), random.Random(1), 0
    verdicts: list[tuple[float, Verdict]] = []
    for worker in tree.workers:
        worker.feed(Start(), now)
    while now < 1090.0:
        refused += 1
        for worker in tree.workers:
            assert worker.feed(Tick(True), now) == Spawn()
            worker.page.begin(worker.spec.role, worker.index)
            verdicts.append((now - 1000.0, live(tree.view(), LIMITS)))
            worker.feed(SpawnFailed(refused, delay_s(refused, SupervisorSettings(), rng)), now)
            verdicts.append((now - 1000.0, live(tree.view(), LIMITS)))
        now = max(worker.child.due_mono for worker in tree.workers)
    assert refused > 5
    assert [verdict.ok for _, verdict in verdicts] == [waited_s <= 60.0 for waited_s, _ in verdicts]
    assert verdicts[3][1].reason == "2 of 2 workers are starting"


@pytest.mark.parametrize(
    ("state", "braked", "draining"),
    [
        (SupervisorState.BOOT, False, False),
        (SupervisorState.RUNNING, False, False),
        (SupervisorState.DEGRADED, True, False),
        (SupervisorState.DRAINING, False, True),
    ],
)
def test_brake_and_drain_are_seen_and_are_not_ready(state: SupervisorState, braked: bool, draining: bool) -> None:
    tree = Tree()
    for worker in tree.workers:
        start(worker)
    tree.workers[0].page.set_redis_seen()
    tree.board.supervisor.set_state(state)
    view = tree.view()
    assert (view.braked, view.draining) == (braked, draining)
    assert ready(view, LIMITS).ok is not (braked or draining)


def test_redis_counts_as_seen_when_any_living_process_saw_it() -> None:
    tree = Tree()
    for slot in (tree.keeper, *tree.workers):
        start(slot)
    assert tree.view().redis_age_s is None
    tree.workers[0].page.set_redis_seen()
    assert 20.0 <= (tree.view(later_s=20.0).redis_age_s or 0.0) < 30.0
    tree.keeper.page.set_redis_seen()
    assert ready(tree.view(), LIMITS).ok
    for slot in (tree.keeper, tree.workers[0]):
        slot.page.set_process(0, State.BACKOFF)
    assert tree.view().redis_age_s is None


def test_queues_of_all_workers_are_known_each_once() -> None:
    tree = Tree()
    tree.workers[0].page.set_queues(("a", "b"))
    tree.workers[1].page.set_queues(("b", "c"))
    assert queues_in(tree.board.snapshot()) == ["a", "b", "c"]
