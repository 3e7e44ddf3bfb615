"""Reaps are kept until confirmed; the keeper is told whom to renew."""

from typing import Any

import pytest

from asyncq.core.errors import ConfigurationError
from asyncq.supervisor.channel import Channel, channel_pair
from asyncq.supervisor.child import Ready, Spawned, Start, State, Tick
from asyncq.supervisor.reaps import KeeperLink, ReapLedger
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.slots import ManagedSlot, make_slots
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings

WORKERS = ChildSpec("worker", "x:y", count=2)
KEEPER = ChildSpec("keeper", "x:y", stop_stage=1, gives_back=True)


def slots_of(*specs: ChildSpec) -> list[ManagedSlot]:
    return make_slots(specs, Scoreboard(9), SupervisorSettings())


def make_ready(slot: ManagedSlot) -> Channel:
    """Bring the slot to READY with a channel; the child's end."""
    for event in (Start(), Tick(True), Spawned(4711), Ready()):
        slot.feed(event, 0.0)
    slot.channel, theirs = channel_pair()
    return theirs


def received(channel: Channel) -> list[dict[str, Any]]:
    return list(iter(channel.receive, None))  # type: ignore[arg-type]


def test_ledger_keeps_a_reap_until_it_is_confirmed() -> None:
    ledger = ReapLedger()
    first = ledger.add([("a", ["q"])], "killed")
    second = ledger.add([("b", ["q"]), ("c", [])], "killed")
    assert first == {"type": "reap", "seq": 1, "incarnations": [("a", ["q"])], "blame": "killed"}
    assert second == {"type": "reap", "seq": 2, "incarnations": [("b", ["q"]), ("c", [])], "blame": "killed"}
    assert ledger.pending() == [first, second]
    ledger.confirm(1)
    ledger.confirm(1)
    ledger.confirm(99)
    ledger.confirm("2")
    assert ledger.pending() == [second]


def hang(slot: ManagedSlot, token: int) -> None:
    """The child's own page says what blocks its loop."""
    slot.page.set_culprit(
        activity="consumer 3", task="mail:send", id_="m-1", queue="q", wid="a", token=token, ran_s=20.5
    )


def test_only_the_culprit_is_blamed_when_a_child_hung() -> None:
    slots = slots_of(WORKERS, KEEPER)
    keeper_end = make_ready(slots[2])
    link = KeeperLink(slots)
    slots[0].page.set_incarnations([("a", ["q"])])
    hang(slots[0], -7)
    link.buried(slots[0], "crashed", hung=True)
    assert received(keeper_end)[-1] == {
        "type": "reap",
        "seq": 1,
        "incarnations": [["a", ["q"]]],
        "blame": "crashed",
        "culprit": {"queue": "q", "wid": "a", "token": -7},
    }


@pytest.mark.parametrize("why", ["it did not hang", "it has beaten since", "nothing was said", "no token"])
def test_no_culprit_is_named_when_it_is_not_known(why: str) -> None:
    slots = slots_of(WORKERS, KEEPER)
    link = KeeperLink(slots)
    slots[0].page.set_incarnations([("a", ["q"])])
    if why != "nothing was said":
        hang(slots[0], 0 if why == "no token" else 7)
    if why == "it has beaten since":
        slots[0].page.beat()
    link.buried(slots[0], "crashed", hung=why != "it did not hang")
    assert link.ledger.pending() == [{"type": "reap", "seq": 1, "incarnations": [("a", ["q"])], "blame": "crashed"}]


def test_nothing_is_reaped_when_there_are_no_incarnations() -> None:
    ledger = ReapLedger()
    assert ledger.add([], "killed") is None
    assert len(ledger) == 0


def test_keeper_hears_of_the_living_first_when_a_child_is_buried() -> None:
    slots = slots_of(WORKERS, KEEPER)
    keeper_end = make_ready(slots[2])
    link = KeeperLink(slots)
    slots[0].page.set_incarnations([("a", ["q"])])
    slots[1].page.set_incarnations([("b", ["q"])])
    link.share_living()
    link.share_living()
    assert received(keeper_end) == [{"type": "live", "incarnations": [["a", ["q"]], ["b", ["q"]]]}]
    link.buried(slots[0], "killed")
    assert received(keeper_end) == [
        {"type": "live", "incarnations": [["b", ["q"]]]},
        {"type": "reap", "seq": 1, "incarnations": [["a", ["q"]]], "blame": "killed"},
    ]
    assert slots[0].page.incarnations == []


def test_new_keeper_is_told_everything_when_it_is_ready() -> None:
    slots = slots_of(WORKERS, KEEPER)
    link = KeeperLink(slots)
    slots[0].page.set_incarnations([("a", ["q"])])
    slots[1].page.set_incarnations([("b", ["q"])])
    link.buried(slots[0], "killed")  # no keeper is there
    keeper_end = make_ready(slots[2])
    link.keeper_ready()
    assert received(keeper_end) == [
        {"type": "live", "incarnations": [["b", ["q"]]]},
        {"type": "reap", "seq": 1, "incarnations": [["a", ["q"]]], "blame": "killed"},
    ]


def test_ledger_stays_empty_when_no_child_gives_back() -> None:
    slots = slots_of(WORKERS)
    link = KeeperLink(slots)
    slots[0].page.set_incarnations([("a", ["q"])])
    link.buried(slots[0], "killed")
    link.share_living()
    assert len(link.ledger) == 0


def test_death_of_the_keeper_is_no_error_when_something_is_sent_to_it() -> None:
    slots = slots_of(WORKERS, KEEPER)
    make_ready(slots[2]).close()
    link = KeeperLink(slots)
    slots[0].page.set_incarnations([("a", ["q"])])
    link.buried(slots[0], "killed")
    assert slots[2].state is State.READY
    assert len(link.ledger) == 1


def test_specs_are_refused_when_two_give_back_or_slots_are_missing() -> None:
    with pytest.raises(ConfigurationError, match="at most one child can give back"):
        slots_of(KEEPER, KEEPER)
    with pytest.raises(ConfigurationError, match="expected 10 slots for these children, found 9"):
        slots_of(ChildSpec("worker", "x:y", count=10))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"role": "work er"}, "1 to 8 ASCII letters, found 'work er'"),
        ({"role": "supervisor"}, "1 to 8 ASCII letters, found 'supervisor'"),
        ({"role": ""}, "1 to 8 ASCII letters, found ''"),
        ({"target": "module"}, "expected 'module:function', found 'module'"),
        ({"count": 0}, "expected a whole number from 1, found 0"),
        ({"count": 2, "gives_back": True}, "exactly one child can give back, found count=2"),
    ],
)
def test_spec_is_refused_when_a_field_is_wrong(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        ChildSpec(**{"role": "worker", "target": "x:y", **fields})
