"""Who is reaped, and who is not yet."""

import asyncio
import os
import subprocess
import sys
from random import Random

import pytest

from asyncq.core.blame import Blame
from asyncq.core.contact import Contact
from asyncq.core.doors import Reaped, Registered
from asyncq.core.errors import BrokerRefusedError
from asyncq.core.nulls import NullObserver
from asyncq.maintenance import reaper as reaper_module
from asyncq.maintenance.reaper import Reaper, Suspicion, pid_of, process_exists, tell
from tests.support.memory_broker import MemoryBroker
from tests.support.states import until, wait_until

GONE = [Registered("h:1:a", 0, False), Registered("h:2:b", 0, True), Registered("h:3:c", 99, False)]


def test_a_lease_must_be_missing_in_six_samples_in_a_row() -> None:
    suspicion = Suspicion()

    assert [[], [], [], [], [], ["h:1:a"]] == [suspicion.sample(GONE, float(second)) for second in range(6)]


def test_one_sighting_starts_over() -> None:
    suspicion = Suspicion()
    for second in range(5):
        suspicion.sample(GONE, float(second))
    suspicion.sample([Registered("h:1:a", 0, True)], 5.0)

    assert [] == suspicion.sample(GONE, 6.0)


def test_a_gap_or_an_error_starts_over() -> None:
    for spoil in (lambda s: s.sample(GONE, 7.5), lambda s: s.forget()):
        suspicion = Suspicion()
        for second in range(5):
            suspicion.sample(GONE, float(second))
        spoil(suspicion)

        assert [] == suspicion.sample(GONE, 8.0)


def test_the_pid_is_read_only_from_ids_of_our_form() -> None:
    assert ("host-ab12", 77) == pid_of("host-ab12:77:ffee")
    assert 0 == pid_of("somebody")[1]
    assert 0 == pid_of("host:x:y")[1]


def test_a_process_that_runs_exists() -> None:
    assert process_exists(os.getpid())
    assert process_exists(1)
    assert not process_exists(2**22 + 1)


async def test_processes_of_this_host_that_are_gone_are_reaped_and_nobody_else() -> None:
    broker = MemoryBroker()
    broker.rows = [
        Registered("host:10:dead", 0, True),
        Registered("host:11:alive", 0, True),
        Registered("other:10:elsewhere", 0, True),
        Registered("host:12:tombstone", 5, False),
    ]
    reaper = Reaper(broker, "q", NullObserver(), Contact(Random(1)), exists=lambda pid: pid == 11)
    task = asyncio.ensure_future(reaper.run())
    try:
        await until(lambda: broker.reaped)
        await until(lambda: broker.trips > 2)
    finally:
        task.cancel()

    assert {("q", "host:10:dead", True)} == set(broker.reaped)


def test_a_process_that_ended_and_was_not_collected_does_not_exist() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    wait_until(lambda: not process_exists(child.pid))
    os.kill(child.pid, 0)  # its entry is still there
    child.wait()


class RefusingBroker(MemoryBroker):
    """Refuses to reap one incarnation."""

    async def reap(
        self, queue: str, wid: str, *, forced: bool, blame: Blame = Blame.NOBODY, culprit: int = 0
    ) -> Reaped | None:
        if wid == "host:10:stuck":
            raise BrokerRefusedError("switched on by the test")
        return await super().reap(queue, wid, forced=forced, blame=blame, culprit=culprit)


async def test_others_are_reaped_when_one_is_refused() -> None:
    broker = RefusingBroker()
    broker.rows = [Registered("host:10:stuck", 0, True), Registered("host:11:dead", 0, True)]
    reaper = Reaper(broker, "q", NullObserver(), Contact(Random(1)), exists=lambda pid: False)
    task = asyncio.ensure_future(reaper.run())
    try:
        await until(lambda: broker.reaped)
    finally:
        task.cancel()

    assert [("q", "host:11:dead", True)] == broker.reaped


async def test_an_end_that_a_supervisor_sees_is_left_to_it_and_judged_by_what_is_known() -> None:
    broker = MemoryBroker()
    broker.rows = [
        Registered("host:10:child", 0, True),
        Registered("host:11:stranger", 0, True),
        Registered("host:12:silent", 0, False),
    ]
    supervised = {"host:10:child", "host:12:silent"}
    reaper = Reaper(
        broker, "q", NullObserver(), Contact(Random(1)), exists=lambda pid: pid == 12, supervised=supervised
    )
    task = asyncio.ensure_future(reaper.run())
    try:
        await until(lambda: broker.reaped)
        assert [("q", "host:11:stranger", True)] == broker.reaped
        assert [Blame.KILLED] == broker.blamed
        supervised.discard("host:10:child")
        await until(lambda: ("q", "host:10:child", True) in broker.reaped)
    finally:
        task.cancel()


async def test_a_lease_that_ran_out_accuses_less_than_a_process_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper_module, "SAMPLE_S", 0.001)
    broker = MemoryBroker()
    broker.rows = [Registered("elsewhere:12:silent", 0, False)]
    task = asyncio.ensure_future(Reaper(broker, "q", NullObserver(), Contact(Random(1))).run())
    try:
        await until(lambda: broker.reaped)
    finally:
        task.cancel()

    assert ("q", "elsewhere:12:silent", False) == broker.reaped[0]
    assert Blame.LOST == broker.blamed[0]


def test_what_a_reap_found_is_counted_and_dead_letters_are_named(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[tuple[str, str, int]] = []

    class Counting(NullObserver):
        def counted(self, metric: str, queue: str, amount: int) -> None:
            counted.append((metric, queue, amount))

    tell(Counting(), "q", Reaped(), "redelivered")
    tell(Counting(), "q", Reaped(3, 2, ("w:alone1",)), "redelivered")

    assert [("redelivered", "q", 5), ("poison", "q", 1)] == counted
    (record,) = caplog.records
    assert ("dead letter", "poison", "w:alone1") == (record.message, record.reason, record.dead_letter)  # type: ignore[attr-defined]
