"""Who is asked where it stands, who is given up, and what is known of the dead: no process, and a clock of its own."""

import math
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from asyncq.core import logs
from asyncq.supervisor import child as life
from asyncq.supervisor.blackbox import LIMIT_BYTES
from asyncq.supervisor.child import State
from asyncq.supervisor.events import ChildDied, ChildHung, Dumped, Event
from asyncq.supervisor.notices import Notices
from asyncq.supervisor.page import Culprit
from asyncq.supervisor.policy import Exit, Verdict
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.slots import ManagedSlot, make_slots
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings
from asyncq.supervisor.vigil import ANSWER_S, LAST_LINES, Findings, Vigil
from asyncq.supervisor.watchdog import Sample, Watchdog

# Linux gives no such number: what is sent there reaches nobody, and /proc has nothing to say.
PID = 4_194_305
BEGAN = 100.0
WARNED, ABORTED = BEGAN + 2.0, BEGAN + 20.0
KILLED, CRASHED = Exit(-signal.SIGKILL), Exit(1)
CULPRIT = Culprit(activity="Task-7", task="resize", id="m-1", queue="pictures", wid="h:1:a", token=5, ran_s=2.5)


class Ward:
    """A vigil over the children of these specs, who are ready and have beaten once; what it sends and tells is kept.

    Also stands in for the clock of the pages, and for the counter of kills for memory.
    """

    def __init__(self, *specs: ChildSpec) -> None:
        self.now = BEGAN
        self.oom_kills = 0
        self.sent: list[tuple[int, int]] = []
        self.fed: list[tuple[ManagedSlot, life.Event, float]] = []
        self.told: list[Event] = []
        settings = SupervisorSettings(warn_s=2.0, watchdog_s=20.0)
        self.slots = make_slots(specs, Scoreboard(sum(spec.count for spec in specs)), settings)
        for pid, slot in enumerate(self.slots, PID):
            be_born(slot, pid)
        notices = Notices(self.told.append, "")
        self.vigil = Vigil(self.slots, settings, notices, self._feed, lambda: self.oom_kills, BEGAN)

    def monotonic_ns(self) -> int:
        return int(self.now * 1e9)

    def all_beat(self) -> None:
        for slot in self.slots:
            slot.page.beat()

    def look(self, now: float) -> None:
        self.now = now
        self.vigil.look(now)

    def _feed(self, slot: ManagedSlot, event: life.Event, now: float) -> None:
        self.fed.append((slot, event, now))
        slot.feed(event, now)

    def close(self) -> None:
        for slot in self.slots:
            slot.box.close()
            slot.captured.close()


Make = Callable[..., Ward]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes a ward; default: one worker."""
    made: list[Ward] = []

    def make(*specs: ChildSpec) -> Ward:
        ward = Ward(*(specs or (worker(),)))
        made.append(ward)
        monkeypatch.setattr(os, "kill", lambda pid, number: ward.sent.append((pid, number)))
        monkeypatch.setattr("asyncq.supervisor.page.time", ward)
        ward.all_beat()
        return ward

    yield make
    for ward in made:
        ward.close()


def worker(count: int = 1) -> ChildSpec:
    return ChildSpec("worker", "x:y", count=count, boot_timeout_s=9.0)


def be_born(slot: ManagedSlot, pid: int, now: float = BEGAN, *, on_probation: bool = False, ready: bool = True) -> None:
    slot.begin(quiet=False, on_probation=on_probation)
    events: list[life.Event] = [life.Start(), life.Tick(True), life.Spawned(pid), life.Ready()]
    for event in events if ready else events[:-1]:
        slot.feed(event, now)


def write(slot: ManagedSlot, text: str) -> None:
    """As the child does when it is asked."""
    os.write(slot.box.fileno(), text.encode())


def cry(slot: ManagedSlot, text: str) -> None:
    """As a child on probation does to its standard error."""
    os.write(slot.captured.fileno(), text.encode())


def name_culprit(slot: ManagedSlot) -> None:
    """As the child does when it is asked."""
    said = CULPRIT
    slot.page.set_culprit(
        activity=said.activity,
        task=said.task,
        id_=said.id,
        queue=said.queue,
        wid=said.wid,
        token=said.token,
        ran_s=said.ran_s,
    )


# -- the silent


def test_who_is_silent_is_asked_once_and_who_beats_is_not(make: Make) -> None:
    ward = make(worker(2))
    ward.now = WARNED - 0.5
    ward.slots[0].page.beat()
    ward.look(WARNED - 0.01)
    assert ward.sent == []
    for now in (WARNED, WARNED + 0.1, WARNED + 1.0):
        ward.slots[0].page.beat()
        ward.look(now)
    assert ward.sent == [(PID + 1, signal.SIGUSR2)]
    assert ward.fed == []


def test_who_stays_silent_is_given_up_once(make: Make) -> None:
    ward = make()
    for now in (WARNED, ABORTED - 0.01):
        ward.look(now)
    assert ward.fed == []
    for now in (ABORTED, ABORTED + 1.0):
        ward.look(now)
    assert ward.fed == [(ward.slots[0], life.Hung(), ABORTED)]
    assert ward.sent == [(PID, signal.SIGUSR2)], "which signal ends it is not decided here"


def test_silence_is_not_held_against_anybody_while_the_arbiter_itself_did_not_run(make: Make) -> None:
    ward = make()
    ward.vigil.attention.sleeps(BEGAN, 1.0)
    ward.vigil.attention.wakes(ABORTED)
    ward.look(ABORTED)
    assert (ward.sent, ward.fed) == ([], [])


def test_the_page_shows_whose_silence_is_excused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = {PID: "t", PID + 1: "S"}
    read = partial(Watchdog, read=lambda pid: Sample(letters[pid], 0.0))
    monkeypatch.setattr("asyncq.supervisor.vigil.Watchdog", read)
    ward = make(worker(2))
    ward.look(WARNED)
    assert [True, False] == [slot.page.excused for slot in ward.slots]
    ward.now += 0.1
    ward.all_beat()
    ward.look(ward.now)
    assert [False, False] == [slot.page.excused for slot in ward.slots]


# -- questions and answers


def test_an_answer_is_read_when_it_is_due_and_not_before(make: Make) -> None:
    ward = make()
    ward.look(WARNED)
    write(ward.slots[0], "where it stands\n")
    ward.look(WARNED + ANSWER_S - 0.01)
    assert ward.told == []
    ward.look(WARNED + ANSWER_S)
    assert ["where it stands"] == [event.stack for event in ward.told if isinstance(event, ChildHung)]
    ward.look(WARNED + 2 * ANSWER_S)
    assert len(ward.told) == 1


def test_the_arbiter_is_told_when_the_next_answer_is_due(make: Make) -> None:
    ward = make(worker(2))
    assert ward.vigil.due_mono == math.inf
    ward.now = BEGAN + 0.1
    ward.slots[0].page.beat()
    ward.look(WARNED)
    ward.look(WARNED + 0.1)
    assert ward.sent == [(PID + 1, signal.SIGUSR2), (PID, signal.SIGUSR2)]
    assert ward.vigil.due_mono == WARNED + ANSWER_S
    ward.look(WARNED + ANSWER_S)
    assert ward.vigil.due_mono == WARNED + 0.1 + ANSWER_S
    ward.look(WARNED + 0.1 + ANSWER_S)
    assert ward.vigil.due_mono == math.inf


def test_what_stood_in_the_box_before_the_question_is_no_answer(make: Make) -> None:
    ward = make()
    write(ward.slots[0], "an old story\n")
    ward.look(WARNED)
    write(ward.slots[0], "where it stands\n")
    ward.look(WARNED + ANSWER_S)
    assert ["where it stands"] == [event.stack for event in ward.told if isinstance(event, ChildHung)]


@pytest.mark.parametrize(("task", "message_id", "queue"), [("resize", "m-1", "pictures"), ("", "", "")])
def test_of_the_silent_is_told_how_long_and_in_what_as_far_as_it_could_say(
    make: Make, task: str, message_id: str, queue: str
) -> None:
    ward = make(worker(2))
    ward.slots[0].feed(life.Leave(life.Level.DRAIN), BEGAN)  # one that leaves is watched as well
    ward.look(WARNED)
    if task:
        name_culprit(ward.slots[0])
    write(ward.slots[0], "\nwhere it stands\n\n")
    ward.look(WARNED + ANSWER_S)
    expected = ChildHung("worker", 0, PID, 2.0, task=task, message_id=message_id, queue=queue, stack="where it stands")
    assert ward.told == [expected, ChildHung("worker", 1, PID + 1, 2.0, task="", message_id="", queue="", stack="")]


def test_of_a_stall_that_is_over_when_its_answer_is_read_the_same_is_told(make: Make) -> None:
    ward = make()
    ward.look(WARNED)
    name_culprit(ward.slots[0])
    ward.now = WARNED + 0.28
    ward.slots[0].page.beat()
    ward.look(WARNED + ANSWER_S)
    assert ward.told == [ChildHung("worker", 0, PID, 2.0, task="resize", message_id="m-1", queue="pictures", stack="")]


def test_of_a_stall_that_ends_while_it_is_judged_the_same_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(pid: int) -> Sample:
        name_culprit(ward.slots[0])
        ward.slots[0].page.beat()
        return Sample("S", 0.0)

    monkeypatch.setattr("asyncq.supervisor.vigil.Watchdog", partial(Watchdog, read=read))
    ward = make()
    ward.look(WARNED)
    ward.look(WARNED + ANSWER_S)
    assert ward.told == [ChildHung("worker", 0, PID, 2.0, task="resize", message_id="m-1", queue="pictures", stack="")]


def test_a_dump_on_demand_does_not_take_the_answer_of_the_silent(make: Make) -> None:
    ward = make(worker(2))
    ward.now = WARNED - 0.5
    ward.slots[1].page.beat()
    ward.look(WARNED)
    write(ward.slots[0], "where it hangs\n")
    ward.vigil.dump(WARNED + 0.1)
    ward.look(WARNED + 0.1 + ANSWER_S)
    hung = ChildHung("worker", 0, PID, 2.0, task="", message_id="", queue="", stack="where it hangs")
    assert ward.told == [hung, Dumped("worker", 1, PID + 1, "")]


def test_on_demand_everybody_at_work_says_where_it_stands(make: Make) -> None:
    foreign = ChildSpec("redis", "x:y", handshake=False)
    ward = make(worker(4), ChildSpec("keeper", "x:y"), foreign)
    ready, leaving, booting, waiting, keeper, server = ward.slots
    leaving.feed(life.Leave(life.Level.DRAIN), BEGAN)
    for slot in (booting, waiting):
        slot.feed(life.Exited(), BEGAN)
    booting.feed(life.Tick(True), BEGAN)
    booting.feed(life.Spawned(PID + 9), BEGAN)
    assert [slot.state for slot in (booting, waiting, server)] == [State.STARTING, State.BACKOFF, State.READY]

    ward.vigil.dump(BEGAN)
    assert ward.sent == [(slot.child.pid, signal.SIGUSR2) for slot in (ready, leaving, keeper)]
    write(ready, "in a handler\n")
    ward.look(BEGAN + ANSWER_S)
    assert ward.told == [
        Dumped("worker", 0, PID, "in a handler"),
        Dumped("worker", 1, PID + 1, ""),
        Dumped("keeper", 0, PID + 4, ""),
    ]


def test_nobody_waits_for_the_answer_of_the_dead(make: Make) -> None:
    ward = make(worker(2))
    ward.vigil.dump(BEGAN)
    ward.vigil.autopsy(ward.slots[0], PID, CRASHED, asked=False)
    ward.look(BEGAN + ANSWER_S)
    assert ward.told == [Dumped("worker", 1, PID + 1, "")]


# -- the dead


@pytest.mark.parametrize(
    ("end", "asked", "hung", "found"),
    [
        pytest.param(KILLED, False, False, True, id="killed"),
        pytest.param(Exit(-signal.SIGSEGV), False, False, False, id="by another signal"),
        pytest.param(Exit(signal.SIGKILL), False, False, False, id="exit code 9"),
        pytest.param(KILLED, True, False, False, id="asked for"),
        pytest.param(KILLED, False, True, False, id="hung"),
    ],
)
@pytest.mark.parametrize("by", ["memory", "own hand"])
def test_a_kill_by_memory_or_own_hand_is_one_that_we_did_not_send(
    make: Make, by: str, end: Exit, asked: bool, hung: bool, found: bool
) -> None:
    ward = make()
    (slot,) = ward.slots
    if hung:
        slot.feed(life.Hung(), ABORTED)
    if by == "memory":
        ward.oom_kills += 1
    else:
        slot.page.set_own_hand()
    findings = ward.vigil.autopsy(slot, PID, end, asked=asked)
    expected = {"memory": (found, False), "own hand": (False, found)}[by]
    assert expected == (findings.oom, findings.own_hand)


def test_the_kernels_kill_explains_the_death_that_nobody_asked_for(make: Make) -> None:
    """The counter does not say who was killed: an end that has its reason must not use it up."""
    ward = make(worker(4))
    asked, hung, crashed, killed = ward.slots
    hung.feed(life.Hung(), ABORTED)
    ward.oom_kills += 1
    assert not ward.vigil.autopsy(asked, PID, KILLED, asked=True).oom
    assert not ward.vigil.autopsy(hung, PID + 1, KILLED, asked=False).oom
    assert not ward.vigil.autopsy(crashed, PID + 2, CRASHED, asked=False).oom
    assert ward.vigil.autopsy(killed, PID + 3, KILLED, asked=False).oom


def test_an_old_kill_for_memory_explains_no_death(make: Make) -> None:
    ward = make()
    ward.oom_kills += 1  # a subprocess of a handler
    for second in range(1, 6):
        ward.now = BEGAN + second
        ward.all_beat()
        ward.look(ward.now)
    assert not ward.vigil.autopsy(ward.slots[0], PID, KILLED, asked=False).oom


def test_only_of_the_hung_is_said_what_they_were_stuck_in(make: Make) -> None:
    ward = make(worker(2))
    hung, crashed = ward.slots
    for slot in ward.slots:
        name_culprit(slot)
        write(slot, "\nwhere it stood\n\n")
    hung.feed(life.Hung(), ABORTED)
    findings = ward.vigil.autopsy(hung, PID, Exit(-signal.SIGABRT), asked=False)
    assert findings == Findings(hung=True, culprit=CULPRIT, stack="where it stood")
    findings = ward.vigil.autopsy(crashed, PID + 1, Exit(-signal.SIGABRT), asked=False)
    assert findings == Findings(stack="where it stood")


def test_a_boot_that_took_too_long_is_no_hang(make: Make) -> None:
    ward = make()
    (slot,) = ward.slots
    slot.feed(life.Exited(), BEGAN)
    be_born(slot, PID, ready=False)
    slot.feed(life.Tick(True), BEGAN + 9.0)
    assert (slot.child.put_down, slot.child.was_ready) == (True, False)
    ward.oom_kills += 1
    slot.page.set_own_hand()
    assert ward.vigil.autopsy(slot, PID, KILLED, asked=False) == Findings(), "we have killed it all the same"


def test_the_next_process_with_the_number_of_a_hung_one_is_watched(make: Make) -> None:
    ward = make()
    (slot,) = ward.slots
    for now in (WARNED, ABORTED):
        ward.look(now)
    ward.vigil.autopsy(slot, PID, Exit(-signal.SIGABRT), asked=False)
    slot.feed(life.Exited(), ABORTED)
    be_born(slot, PID, ABORTED)
    slot.page.beat()
    ward.sent.clear()
    ward.look(ABORTED + 2.0)
    assert ward.sent == [(PID, signal.SIGUSR2)]


@pytest.mark.parametrize("on_probation", [True, False])
def test_the_last_lines_are_known_of_a_child_on_probation(make: Make, on_probation: bool) -> None:
    ward = make()
    (slot,) = ward.slots
    be_born(slot, PID, on_probation=on_probation)
    lines = [f"line {number}" for number in range(LAST_LINES + 5)]
    cry(slot, "\n".join(lines))
    expected = tuple(lines[5:]) if on_probation else ()
    assert expected == ward.vigil.autopsy(slot, PID, CRASHED, asked=False).last_lines


@pytest.mark.parametrize(
    ("culprit", "task", "message_id"), [(CULPRIT, "resize", "m-1"), (None, "", "")], ids=["of a message", "of nothing"]
)
def test_the_findings_are_told_with_the_death(make: Make, culprit: Culprit | None, task: str, message_id: str) -> None:
    (*_, slot) = make(worker(2)).slots
    findings = Findings(culprit=culprit, stack="where it stood", last_lines=("one", "two"))
    expected = ChildDied(
        "worker",
        1,
        PID,
        "killed by SIGABRT",
        "hang",
        True,
        task=task,
        message_id=message_id,
        stack="where it stood",
        last_lines=("one", "two"),
        again_in_s=0.5,
    )
    assert expected == findings.told(slot, PID, "killed by SIGABRT", Verdict("hang", True), 0.5)


# -- children on probation


def test_what_a_child_on_probation_cries_is_passed_on_line_by_line_and_at_its_end(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[bytes] = []

    def put_line(line: bytes) -> bool:
        passed.append(line)
        return True

    monkeypatch.setattr(logs, "put_line", put_line)
    ward = make(worker(2))
    trusted, probed = ward.slots
    be_born(probed, PID + 1, on_probation=True)
    for slot in ward.slots:
        cry(slot, "one\ntwo\n")
    ward.look(BEGAN)
    assert [b"one\n", b"two\n"] == passed
    ward.look(BEGAN)
    for pid, slot in enumerate(ward.slots, PID):
        cry(slot, "three\n")
        ward.vigil.autopsy(slot, pid, CRASHED, asked=False)
    assert [b"one\n", b"two\n", b"three\n"] == passed
    assert not trusted.on_probation


def test_nobody_has_to_read_what_is_passed_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []

    def unread(line: bytes) -> bool:
        tried.append(line)
        return False

    def closed(line: bytes) -> bool:
        raise OSError(9, "Bad file descriptor")

    ward = make()
    (slot,) = ward.slots
    be_born(slot, PID, on_probation=True)
    monkeypatch.setattr(logs, "put_line", unread)
    cry(slot, "one\ntwo\n")
    ward.look(BEGAN)
    assert [b"one\n"] == tried, "whoever is slow to read must not hold the arbiter up for each line"
    monkeypatch.setattr(logs, "put_line", closed)
    cry(slot, "three\n")
    ward.look(BEGAN)


def test_a_child_on_probation_that_cries_for_ever_does_not_fill_the_memory(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "put_line", lambda line: True)
    ward = make()
    (slot,) = ward.slots
    be_born(slot, PID, on_probation=True)
    cry(slot, "x" * (LIMIT_BYTES + 1))
    ward.look(BEGAN)
    assert LIMIT_BYTES > os.fstat(slot.captured.fileno()).st_size
