"""The tokens of one incarnation."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asyncq.broker.ledger import Ledger


def test_ranges_never_meet_when_reserved_one_after_another() -> None:
    ledger = Ledger()
    assert [ledger.reserve(count) for count in (3, 0, 2)] == [range(1, 4), range(4, 4), range(4, 6)]


def test_stray_is_found_once_when_its_take_lost_the_reply() -> None:
    ledger = Ledger()
    ledger.leave_open(ledger.reserve(3))
    assert ledger.sort_out([2, 1]) == ([1, 2], [])
    assert ledger.held == {1, 2}
    assert ledger.sort_out([1, 2, 3]) == ([3], [])


def test_settled_is_never_run_again_when_it_is_still_recorded() -> None:
    ledger = Ledger()
    ledger.leave_open(ledger.reserve(2))
    ledger.deliver(ledger.reserve(1))
    ledger.sort_out([1, 2])
    ledger.settle([1, 3])
    assert ledger.sort_out([1, 2, 3]) == ([], [1, 3])


def test_unknown_is_deleted_when_no_open_range_explains_it() -> None:
    ledger = Ledger()
    ledger.reserve(5)
    assert ledger.sort_out([4, 9]) == ([], [4, 9])


@given(st.lists(st.integers(0, 5)))
def test_nothing_is_stray_when_every_reply_arrived(counts: list[int]) -> None:
    ledger = Ledger()
    recorded: set[int] = set()
    for count in counts:
        tokens = ledger.reserve(count)
        ledger.deliver(tokens)
        recorded.update(tokens)
    assert ledger.sort_out(recorded) == ([], [])


class TakesAndSettlements(RuleBasedStateMachine):
    """A model of Redis beside the ledger: whatever is lost or late, a token is run once, and none is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.recorded: set[int] = set()
        self.late: list[range] = []
        self.run: list[int] = []
        self.settled: set[int] = set()

    @rule(count=st.integers(0, 4), executed=st.booleans(), answered=st.booleans())
    def take(self, count: int, executed: bool, answered: bool) -> None:
        tokens = self.ledger.reserve(count)
        if executed:
            self.recorded.update(tokens)
            if answered:
                self.ledger.deliver(tokens)
                self.run += tokens
                return
        else:
            self.late.append(tokens)
        self.ledger.leave_open(tokens)

    @rule()
    def carry_out_late(self) -> None:
        if self.late:
            self.recorded.update(self.late.pop())

    @rule(data=st.data(), reverted=st.booleans())
    def settle(self, data: st.DataObject, reverted: bool) -> None:
        if self.ledger.held:
            token = data.draw(st.sampled_from(sorted(self.ledger.held)))
            self.ledger.settle([token])
            self.settled.add(token)
            if not reverted:  # else a failover brings it back
                self.recorded.discard(token)

    @rule()
    def reconcile(self) -> None:
        stray, settled = self.ledger.sort_out(self.recorded)
        self.run += stray
        self.recorded.difference_update(settled)
        assert self.recorded <= self.ledger.held

    @invariant()
    def nothing_runs_twice(self) -> None:
        assert len(self.run) == len(set(self.run))

    @invariant()
    def nothing_unfinished_is_forgotten(self) -> None:
        assert {token for token in self.run if token not in self.settled} == self.ledger.held


TestTakesAndSettlements = TakesAndSettlements.TestCase
