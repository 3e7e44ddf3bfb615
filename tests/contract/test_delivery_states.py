"""Delivery as a machine of states: whatever is lost, late, reaped or crashed, every message is where it should be.

Hypothesis chooses what workers, a keeper and the network do, on the real code and a real server; a model does the same
(tests/support/delivery_model.py). After each step the answers and every key are compared, and what delivery promises
is asked of both: nothing is lost or made twice, nothing runs more often than it had to, the reaped change nothing, the
innocent are not convicted, nothing is left behind.

    ./run pytest tests/contract/test_delivery_states.py --hypothesis-profile=long     minutes instead of seconds
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from asyncq.broker import redis_broker, registration
from asyncq.broker.connection import ConnectionSettings
from asyncq.broker.keys import QueueKeys, queue_keys
from asyncq.broker.redis_broker import RedisBroker
from asyncq.core.blame import Blame
from asyncq.core.doors import Batch, Reaped, Taken
from asyncq.core.errors import BrokerUnavailableError, RegistrationLostError
from asyncq.core.settlement import RELEASE
from tests.support.cut_wire import CutWire, Fate, Faults
from tests.support.delivery_model import AGED, FRESH, DeliveryModel, sha1
from tests.support.delivery_view import in_model, in_redis, raws_in
from tests.support.delivery_worker import Worker
from tests.support.properties import MANY

LIMIT_BYTES = 30
QUEUES = ("q", "{shop}:mail")
PAYLOADS = (b"", b"same", b"same", b"new", b"new", b"new", b"x" * (LIMIT_BYTES + 1), b'{"id":"i","name":"n"}')

QUEUE = st.sampled_from([*QUEUES, QUEUES[0], QUEUES[0]])
WHO = st.integers(0, 5)
SOME = st.integers(0, 3)
OUTCOMES = st.lists(
    st.sampled_from("c-crdb"), min_size=2, max_size=4
)  # complete, reschedule, dead letter, back; - = runs on
PLANS = st.one_of(*[st.just([])] * 3, st.lists(st.sampled_from(Fate), min_size=1, max_size=3))
YES = st.booleans()
THEN = st.sampled_from(["", "found", "found", "CRASHED", "KILLED"])
LOSSES = st.sampled_from([Fate.LOST, Fate.LATE])
LOOKS = st.lists(st.sampled_from([Fate.UNSENT, Fate.LOST, Fate.LATE]), max_size=2).map(
    lambda fates: [Fate.ANSWERED, *fates]
)
BLAMES = st.sampled_from(Blame)


class Deliveries(RuleBasedStateMachine):
    """Processes on two queues, and everything that can happen to them."""

    raw: ClassVar[redis.Redis]
    settings: ClassVar[ConnectionSettings]
    monkeypatch: ClassVar[pytest.MonkeyPatch]
    seen: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model = DeliveryModel()
        self.faults = Faults(self.model)
        self.monkeypatch.setattr(redis_broker, "async_wire", partial(CutWire, self.faults))
        self.monkeypatch.setattr(registration, "CALM_S", 0.0)  # nobody here lives for ten seconds
        self.broker = RedisBroker(self.settings, lease_ms=600_000, max_message_bytes=LIMIT_BYTES)
        self.workers: list[Worker] = []
        self.sound = True
        self.raw.script_flush()

    # -- means ----------------------------------------------------------------------------------------------------

    def do(self, steps: Coroutine[Any, Any, Any], plan: list[Fate] | None = None, cut: int = 1) -> Any:
        """Carry out one step under a plan of faults; None when a fault ended it."""
        self.sound = False
        self.faults.plan, self.faults.cut, self.faults.settled = list(plan or ()), cut, 0
        try:
            answer = self.loop.run_until_complete(steps)
        except BrokerUnavailableError:
            answer = None
        self.faults.plan, self.faults.between, self.sound = [], None, True
        return answer

    def registered(self, keys: QueueKeys, wid: str) -> bool:
        return bool(self.model.table(keys.workers).get(wid) == 0)

    def incarnations(self) -> list[tuple[str, str]]:
        """(queue, wid) of everybody in a register, tombstones included."""
        return [(queue, wid) for queue in QUEUES for wid in self.model.table(queue_keys(queue).workers)]

    def under_way(self, wid: str) -> bool:
        """Whether some request of this incarnation may still arrive."""
        return any(wid in str(part) for commands in self.faults.late for command in commands for part in command)

    async def join(self, queue: str) -> None:
        registration = await self.broker.register(queue, self.broker.incarnation())
        self.workers.append(Worker(registration, queue_keys(queue)))

    async def exchange(self, worker: Worker, room: int, ahead: int, *, alone: bool = False) -> None:
        batch = Batch(list(worker.batch.completed), list(worker.batch.others))
        if any(token < 0 for token in worker.running):
            room = ahead = 0
        was_gone, held_against = worker.gone, dict(self.model.table(worker.keys.crash_counts))
        try:
            taken = await worker.registration.exchange(batch, room, ahead, alone=alone)
        except RegistrationLostError as error:
            self.hear_of_the_loss(worker, error.late, len(batch) - (0 if was_gone else self.faults.settled))
            return
        self.check_acquittal(worker, batch, held_against)
        assert not worker.decided & set(self.model.table(worker.keys.inflight(worker.wid)))
        for token in worker.decided:
            del worker.held[token]
        worker.batch = Batch()
        self.deliver(worker, taken)

    def check_acquittal(self, worker: Worker, batch: Batch, before: dict[str, Any]) -> None:
        """A suspect that came to an end is not held to blame any more; one that was given back is, as before."""
        given_back = {token for token, _, settlement in batch.others if settlement is RELEASE}
        for token in worker.decided:
            if token < 0:
                digest, counts = sha1(worker.held[token].raw), self.model.table(worker.keys.crash_counts)
                known = before.get(digest) if token in given_back else None
                assert counts.get(digest) == known

    def deliver(self, worker: Worker, taken: Taken) -> None:
        """The process begins all it was given."""
        recorded = self.model.table(worker.keys.inflight(worker.wid))
        for token, raw in zip(taken.tokens, taken.raws, strict=True):
            copy = recorded[token]
            assert raw == copy.raw
            assert token not in worker.held
            copy.executions += 1
            copy.holder = worker.wid
            worker.held[token] = copy
        assert len(worker.held) == 1 or min(worker.held, default=1) > 0, "a suspect runs beside others"
        self.seen["run alone"] += any(token < 0 for token in taken.tokens)

    def hear_of_the_loss(self, worker: Worker, told_late: int = 0, late: int = 0) -> None:
        assert not self.registered(worker.keys, worker.wid)
        assert told_late == late
        self.seen["refused as late"] += late
        worker.gone = True
        worker.held.clear()
        worker.batch = Batch()

    async def reap(self, queue: str, wid: str, forced: bool, blame: Blame, culprit: int = 0) -> None:
        """The answer says all that moved: what is not in it is counted nowhere."""
        reaped = await self.broker.reap(queue, wid, forced=forced, blame=blame, culprit=culprit)
        first, *rest = self.faults.answer
        assert reaped == (None if first < 0 else Reaped(first, rest[0], tuple(rest[1:])))
        self.seen["convicted"] += len(rest[1:])
        self.seen["suspected"] += sum(rest[:1])

    # -- producers and promoters -------------------------------------------------------------------------------------

    @initialize(queue=st.sampled_from(QUEUES), deaths=st.sampled_from([2, 2, 1, 0]), twins=st.booleans())
    def begin(self, queue: str, deaths: int, twins: bool) -> None:
        """Some runs begin with messages that died with their process before."""
        self.push(queue, [b"same" if twins else b"one", b"two"])
        self.some_die(queue, deaths)
        self.do(self.join(queue))

    def some_die(self, queue: str, deaths: int) -> None:
        for _ in range(deaths):
            self.do(self.join(queue))
            worker = self.workers[-1]
            self.do(self.exchange(worker, 4, 0))
            self.do(self.reap(queue, worker.wid, True, Blame.CRASHED))
            self.crash(worker)

    def suspects_appear(self, queue: str) -> None:
        """If there are none."""
        if not self.model.row(queue_keys(queue).suspects):
            self.push(queue, [b"new", b"new"])
            self.some_die(queue, 2)

    @rule(queue=QUEUE, raws=st.lists(st.sampled_from(PAYLOADS), min_size=1, max_size=4))
    def push(self, queue: str, raws: list[bytes]) -> None:
        accepted = len(self.model.accepted)
        raws = [b"%d" % (accepted + k) if raw == b"new" else raw for k, raw in enumerate(raws)]
        assert self.raw.rpush(queue, *raws) == self.model.do_rpush(queue, *raws)

    @rule(queue=st.sampled_from(QUEUES), due=SOME, limit=st.integers(1, 2))
    def time_passes_and_some_are_promoted(self, queue: str, due: int, limit: int) -> None:
        keys = queue_keys(queue)
        waiting = self.model.table(keys.scheduled)
        for score, id_ in enumerate(list(waiting)[:due], 1):
            self.raw.zadd(keys.scheduled, {id_: score})
            waiting[id_] = score
        self.do(self.broker.promote(queue, limit))

    # -- workers ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.workers) < 4)
    @rule(queue=QUEUE, plan=PLANS)
    def a_process_joins(self, queue: str, plan: list[Fate]) -> None:
        self.do(self.join(queue), plan)

    @precondition(lambda self: self.incarnations())
    @rule(who=WHO)
    def a_registration_is_repeated(self, who: int) -> None:
        """The reaped do not come back."""
        queue, wid = self.incarnations()[who % len(self.incarnations())]
        self.do(self.register_again(queue, wid))

    async def register_again(self, queue: str, wid: str) -> None:
        refused = not self.registered(queue_keys(queue), wid)
        try:
            await (await self.broker.register(queue, wid)).close()
        except RegistrationLostError:
            assert refused
        else:
            assert not refused

    def worker(self, who: int, *, beside_suspects: bool = False) -> Worker:
        """One of them; a new one if there is none. If wanted and possible, one in whose queue suspects wait."""
        if not self.workers:
            self.do(self.join(QUEUES[0]))
        wanted = [worker for worker in self.workers if beside_suspects and self.model.row(worker.keys.suspects)]
        found = (wanted or self.workers)[who % len(wanted or self.workers)]
        if found.gone and who % 2:  # some ask in vain once more
            self.crash(found)
            return self.worker(who, beside_suspects=beside_suspects)
        return found

    @rule(who=WHO, outcomes=OUTCOMES, room=SOME, ahead=SOME, plan=PLANS, cut=SOME, blame=BLAMES)
    def a_worker_settles_and_takes(
        self, who: int, outcomes: list[str], room: int, ahead: int, plan: list[Fate], cut: int, blame: Blame
    ) -> None:
        worker = self.worker(who)
        worker.decide(outcomes)
        self.faults.between = partial(self.reap, worker.registration.queue, worker.wid, True, blame)
        self.do(self.exchange(worker, room, ahead), plan, cut)

    @rule(who=WHO, outcomes=OUTCOMES)
    def a_worker_works(self, who: int, outcomes: list[str]) -> None:
        """As most of the time: without a fault, and with room."""
        self.a_worker_settles_and_takes(who, outcomes, 2, 2, [], 0, Blame.NOBODY)

    @rule(who=WHO, outcomes=OUTCOMES, blame=BLAMES)
    def a_worker_works_and_is_reaped(self, who: int, outcomes: list[str], blame: Blame) -> None:
        """And goes on, for it has not heard of that yet."""
        worker = self.worker(who)
        self.a_worker_settles_and_takes(who, outcomes, 2, 2, [], 0, Blame.NOBODY)
        self.do(self.reap(worker.registration.queue, worker.wid, True, blame))

    @rule(who=WHO, outcomes=OUTCOMES, cut=st.integers(1, 3), blame=BLAMES)
    def a_worker_is_reaped_between_its_commands(self, who: int, outcomes: list[str], cut: int, blame: Blame) -> None:
        self.a_worker_settles_and_takes(who, outcomes, 2, 0, [Fate.REAPED_BETWEEN], cut, blame)

    @rule(who=WHO, outcomes=OUTCOMES, plan=PLANS, cut=SOME)
    def a_worker_takes_a_suspect(self, who: int, outcomes: list[str], plan: list[Fate], cut: int) -> None:
        worker = self.worker(who, beside_suspects=True)
        self.do(self.exchange_all(worker, outcomes, alone=True), plan, cut)

    async def exchange_all(self, worker: Worker, outcomes: list[str], room: int = 0, *, alone: bool = False) -> None:
        """Nothing runs on: what has no outcome is completed."""
        worker.decide([outcome.replace("-", "c") for outcome in outcomes])
        worker.decide(["c"] * len(worker.running))
        await self.exchange(worker, room, 0, alone=alone)

    @rule(who=WHO, alone=YES, first=LOSSES, looks=LOOKS, room=st.integers(0, 1), arrives=YES, then=THEN)
    def a_take_is_lost_and_looked_for(
        self, who: int, alone: bool, first: Fate, looks: list[Fate], room: int, arrives: bool, then: str
    ) -> None:
        """The look may fail, too. What is late may come before anything else is taken."""
        worker = self.worker(who, beside_suspects=alone)
        if alone:
            self.suspects_appear(worker.registration.queue)
        self.do(self.exchange_all(worker, [], 2, alone=alone), [first])
        self.do(self.exchange(worker, room, 0), looks)
        if arrives and self.faults.late:
            self.a_late_request_arrives(-1)
        if then == "found":
            self.is_found(worker)
        elif then:
            self.push(worker.registration.queue, [b"new"])
            self.do(self.exchange(worker, 1, 0))
            self.do(self.reap(worker.registration.queue, worker.wid, True, Blame[then]))

    @precondition(lambda self: any(self.model.row(queue_keys(queue).suspects) for queue in QUEUES))
    @rule(who=WHO, blame=BLAMES, plan=PLANS, hangs=st.booleans())
    def a_suspect_runs_alone_and_dies(self, who: int, blame: Blame, plan: list[Fate], hangs: bool) -> None:
        worker = self.worker(who, beside_suspects=True)
        self.do(self.exchange_all(worker, [], alone=True), plan)
        culprit = min(worker.held, default=-1) if hangs else 0
        self.do(self.reap(worker.registration.queue, worker.wid, True, blame, culprit))
        self.crash(worker)

    @rule(who=WHO, outcomes=OUTCOMES, which=WHO, blame=BLAMES, plan=PLANS)
    def a_handler_blocks_its_process_for_ever(
        self, who: int, outcomes: list[str], which: int, blame: Blame, plan: list[Fate]
    ) -> None:
        """It is put down. What is blamed may have been settled by then, and its settlement may never have been sent."""
        worker = self.worker(who)
        self.a_worker_settles_and_takes(who, outcomes, 2, 2, plan, 0, Blame.NOBODY)
        tokens = sorted({*worker.held, 1})
        self.crash(worker)
        self.do(self.reap(worker.registration.queue, worker.wid, True, blame, tokens[which % len(tokens)]))

    @rule(who=WHO, fate=st.sampled_from([Fate.ANSWERED, Fate.UNSENT, Fate.LOST, Fate.LATE]))
    def a_worker_waits(self, who: int, fate: Fate) -> None:
        worker = self.worker(who)
        if self.model.row(worker.keys.ready):
            self.do(worker.registration.wait(5.0), [fate])

    @rule(who=WHO, plan=PLANS, cut=SOME)
    def a_worker_renews(self, who: int, plan: list[Fate], cut: int) -> None:
        worker = self.worker(who)
        was_registered = self.registered(worker.keys, worker.wid)
        alive = self.do(worker.registration.renew(), plan, cut)
        if alive is False:
            self.hear_of_the_loss(worker)
        assert was_registered or not alive

    @rule(who=WHO, plan=PLANS, again=st.booleans())
    def a_worker_withdraws(self, who: int, plan: list[Fate], again: bool) -> None:
        """If that is not answered it tries again, or ends without."""
        worker = self.worker(who)
        if self.do(worker.registration.withdraw(), plan) is not None or (
            again and self.do(worker.registration.withdraw()) is not None
        ):
            assert not self.model.table(worker.keys.inflight(worker.wid))
        self.crash(worker)

    def crash(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.do(worker.registration.close())

    @rule(who=WHO)
    def what_a_lost_take_brought_is_found(self, who: int) -> None:
        self.is_found(self.worker(who))

    def is_found(self, worker: Worker) -> None:
        """As long as the incarnation lives and no request of its is under way any more.

        It may take more than one renewal: what was settled without its knowing makes up for what it does not know of.
        """
        if self.under_way(worker.wid):
            return
        worker.decide(["c"] * len(worker.running))
        for _ in range(4):
            self.do(worker.registration.renew())
            recorded = set(self.model.table(worker.keys.inflight(worker.wid)))
            self.do(self.exchange(worker, len(recorded - set(worker.held)), 0))
        if not worker.gone:
            assert set(self.model.table(worker.keys.inflight(worker.wid))) == set(worker.held)

    # -- the keeper, other machines, the network ---------------------------------------------------------------------

    @precondition(lambda self: self.incarnations())
    @rule(who=WHO, forced=st.booleans(), blame=BLAMES, plan=PLANS)
    def somebody_is_reaped(self, who: int, forced: bool, blame: Blame, plan: list[Fate]) -> None:
        queue, wid = self.incarnations()[who % len(self.incarnations())]
        self.do(self.reap(queue, wid, forced, blame), plan)

    @rule(who=WHO, blame=BLAMES, seen=st.booleans())
    def a_process_dies(self, who: int, blame: Blame, seen: bool) -> None:
        worker = self.worker(who)
        self.crash(worker)
        if seen:
            self.do(self.reap(worker.registration.queue, worker.wid, True, blame))

    @precondition(lambda self: self.incarnations())
    @rule(who=WHO)
    def a_lease_runs_out(self, who: int) -> None:
        queue, wid = self.incarnations()[who % len(self.incarnations())]
        self.raw.delete(queue_keys(queue).lease(wid))
        self.model.table(queue_keys(queue).lease(wid)).clear()

    @precondition(lambda self: self.incarnations())
    @rule(queue=QUEUE)
    def nobody_was_killed_for_a_while(self, queue: str) -> None:
        killed = queue_keys(queue).killed
        self.raw.delete(killed)
        self.model.table(killed).clear()

    @precondition(lambda self: self.incarnations())
    @rule(who=WHO, plan=PLANS)
    def the_keeper_renews(self, who: int, plan: list[Fate]) -> None:
        queue, wid = self.incarnations()[who % len(self.incarnations())]
        alive = self.do(self.broker.renew(queue, wid), plan)
        assert alive in (None, self.registered(queue_keys(queue), wid))

    @precondition(lambda self: self.faults.late)
    @rule(which=WHO)
    def a_late_request_arrives(self, which: int) -> None:
        commands = self.faults.late.pop(which % len(self.faults.late))
        if commands and commands[0][0] == "BLMOVE":
            _, source, target, *_ = commands[0]
            assert self.raw.lmove(source, target, "LEFT", "RIGHT") == self.model.carry_out(commands[0])
        else:
            self.do(self.broker._commands.carry_out_late(commands))

    @precondition(lambda self: self.faults.late)
    @rule(which=WHO)
    def a_late_request_never_arrives(self, which: int) -> None:
        self.faults.late.pop(which % len(self.faults.late))

    @rule(who=WHO)
    def a_tombstone_has_had_its_time(self, who: int) -> None:
        """Long after everything that was under way has arrived, and whoever lives has heard of it."""
        living = {worker.wid for worker in self.workers if not worker.gone}
        for queue, wid in self.incarnations():
            workers = queue_keys(queue).workers
            if self.model.table(workers)[wid] == FRESH and wid not in living and not self.under_way(wid):
                self.raw.zadd(workers, {wid: AGED})
                self.model.table(workers)[wid] = AGED

    @rule()
    def the_server_forgets_its_scripts(self) -> None:
        self.raw.script_flush()
        self.model.scripts.clear()

    # -- what holds after every step ---------------------------------------------------------------------------------

    @invariant()
    def every_key_is_as_promised(self) -> None:
        self.sound = False
        self.seen["steps"] += 1
        found = in_redis(self.raw, QUEUES)
        assert found == in_model(self.model)
        left = Counter(copy.raw for copy in self.model.accepted if copy not in self.model.acked)
        assert Counter(raws_in(found)) == left
        self.sound = True

    @invariant()
    def every_copy_is_in_one_place_and_runs_no_more_than_it_must(self) -> None:
        self.sound = False
        places = [*self.model.copies(), *self.model.acked]
        assert len(places) == len(set(places)) == len(self.model.accepted)
        assert [copy for copy in places if copy.executions > copy.allowed] == []
        self.sound = True

    # -- the end -----------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if self.sound:
                self.everybody_is_reaped_and_nothing_is_left()
        finally:
            for worker in self.workers:
                self.loop.run_until_complete(worker.registration.close())
            self.loop.run_until_complete(self.broker.close())
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()
            for key in self.raw.scan_iter(count=1000):
                self.raw.delete(key)

    def everybody_is_reaped_and_nothing_is_left(self) -> None:
        for worker in list(self.workers):
            self.crash(worker)
        for queue, wid in self.incarnations():
            self.do(self.reap(queue, wid, True, Blame.LOST))
        while self.faults.late:
            self.a_late_request_arrives(0)
        for _ in range(3):
            for queue, wid in self.incarnations():
                self.do(self.reap(queue, wid, True, Blame.NOBODY))
            self.a_tombstone_has_had_its_time(0)
        self.every_key_is_as_promised()
        self.every_copy_is_in_one_place_and_runs_no_more_than_it_must()
        assert self.incarnations() == []
        kinds = (":inflight:", ":inbox:", ":lease:", ":workers")
        assert [key for key in in_redis(self.raw, QUEUES) if any(kind in key for kind in kinds)] == []


@pytest.mark.slow
@pytest.mark.timeout(900)  # what is found is made smaller, which takes up to five minutes
def test_every_message_is_where_it_should_be_whatever_happens(
    raw_redis: redis.Redis, settings: ConnectionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: Counter[str] = Counter()
    bench = {"raw": raw_redis, "settings": settings, "monkeypatch": monkeypatch, "seen": seen}
    long = hypothesis_settings.get_current_profile_name() == "long"
    machine = type("Deliveries", (Deliveries,), bench)
    examples = 2500 if long else 150
    run_state_machine_as_test(
        machine, settings=hypothesis_settings(MANY, max_examples=examples, stateful_step_count=100)
    )
    print(f"what happened: {dict(seen)}")
    assert seen["steps"] > 20 * examples
    assert seen["run alone"] > 0 < seen["suspected"]
    assert seen["refused as late"] > 0
