"""The oracle finds every kind of broken promise, and none where there is none."""

import json
from typing import Any

import pytest

from tests.chaos.oracle import Execution, Fault, Findings, Stored, id_of, judge, parse, stored

PID, OTHER = 10, 11


def findings(lines: list[str], enqueued: str = "1", faults: tuple[Fault, ...] = (), **more: Any) -> Findings:
    return judge(parse(lines), enqueued.split(), faults, **more)


def kill(at: float, held: str | None = None, pid: int = PID) -> Fault:
    return Fault("kill", pid, at, None if held is None else frozenset(held.split()))


class TestTheRecord:
    def test_a_start_and_its_end_are_one_execution(self) -> None:
        assert [Execution("1", 10, 5.0, 6.5, "D")] == parse(["S 1 5.0 10", "D 1 6.5 10"])

    def test_the_same_message_twice_at_once_is_two(self) -> None:
        runs = parse(["S 1 5.0 10", "S 1 5.1 10", "D 1 6.0 10", "D 1 6.1 10"])

        assert [(5.0, 6.0), (5.1, 6.1)] == [(run.start_at, run.end_at) for run in runs]

    def test_an_end_belongs_to_the_process_that_wrote_it(self) -> None:
        runs = parse(["S 1 5.0 10", "S 1 6.0 11", "D 1 6.5 11"])

        assert ["", "D"] == [run.end for run in runs]

    def test_half_a_line_is_none(self) -> None:
        assert [] == parse(["S 1 5.", "", "S"])

    def test_an_end_without_a_start_is_no_record(self) -> None:
        with pytest.raises(ValueError, match="end without a start"):
            parse(["D 1 6.5 10"])


class TestPromises:
    def test_a_clean_run_has_no_problem(self) -> None:
        found = findings(["S 1 5.0 10", "S 2 5.0 11", "D 2 5.1 11", "D 1 5.2 10"], "1 2")

        assert [] == found.problems()
        assert (2, 2, 2, 0, 0) == (
            found.enqueued,
            found.completed,
            found.executions,
            found.duplicates,
            found.bound,
        )

    def test_what_is_nowhere_is_lost(self) -> None:
        found = findings(["S 1 5.0 10", "D 1 5.1 10", "S 2 5.0 10"], "1 2 3")

        assert ["2", "3"] == found.lost
        assert ["lost 2: ['2', '3']"] == found.problems()

    def test_what_lies_in_a_key_is_stranded_not_lost(self) -> None:
        found = findings([], "1", stored=[Stored("asyncq:{q}:q:inflight:w", ("1",))])

        assert ({"1": "asyncq:{q}:q:inflight:w"}, []) == (found.stranded, found.lost)
        assert len(found.problems()) == 1

    def test_what_was_done_and_still_lies_in_a_key_is_stranded(self) -> None:
        found = findings(["S 1 5.0 10", "D 1 5.1 10"], stored=[Stored("q", ("1",))])

        assert {"1": "q"} == found.stranded

    def test_a_dead_letter_is_wrong_unless_it_is_expected(self) -> None:
        found = findings([], "1", stored=[Stored("d", (), {"1": "poison"})])

        assert ["dead letters: 1 other than expected: [('1', 'poison')]"] == found.problems()
        assert [] == found.problems(dead=["1"])

    def test_a_dead_letter_that_is_missing_is_wrong(self) -> None:
        found = findings(["S 1 5.0 10", "D 1 5.1 10"])

        assert ["dead letters: 1 other than expected: [('1', None)]"] == found.problems(dead=["1"])

    def test_what_nobody_enqueued_must_not_run(self) -> None:
        assert ["9"] == findings(["S 9 5.0 10", "D 9 5.1 10", "S 1 5.0 10", "D 1 5.1 10"]).strangers


TWICE = ["S 1 5.0 10", "D 1 5.1 10", "S 1 6.0 11", "D 1 6.1 11"]
CUT_OFF = ["S 1 5.0 10", "S 1 6.0 11", "D 1 6.1 11"]


class TestExcuses:
    def test_twice_without_a_fault_is_two_problems(self) -> None:
        found = findings(TWICE)

        assert (1, 0, ["1"]) == (found.duplicates, found.bound, found.unexplained)
        assert len(found.problems()) == 2

    def test_what_redis_had_under_the_killed_process_may_run_again(self) -> None:
        assert [] == findings(CUT_OFF, faults=(kill(5.9, "1"),)).problems()
        assert [] == findings(TWICE, faults=(kill(5.9, "1"),)).problems()  # done, and not settled

    def test_what_redis_did_not_have_under_it_may_not(self) -> None:
        assert ["1"] == findings(TWICE, faults=(kill(5.9, ""),)).unexplained

    def test_the_kill_of_another_process_is_no_excuse(self) -> None:
        assert ["1"] == findings(CUT_OFF, faults=(kill(5.9, "1", OTHER), kill(5.9, "2"))).unexplained

    def test_without_a_look_what_had_ended_long_before_may_not_run_again(self) -> None:
        assert [] == findings(TWICE, faults=(kill(5.15),)).problems()
        assert ["1"] == findings(TWICE, faults=(kill(5.3),)).unexplained

    def test_what_ended_while_its_process_was_stuck_may_run_again(self) -> None:
        assert [] == findings(TWICE, faults=(Fault("kill", PID, 5.9, stuck_at=5.15),)).problems()

    def test_a_process_that_stood_still_excuses_what_ran_in_it(self) -> None:
        late = ["S 1 5.0 10", "S 1 6.0 11", "D 1 6.1 11", "D 1 9.0 10"]

        assert [] == findings(late, faults=(Fault("stop", PID, 5.5),)).problems()
        assert ["1"] == findings(late, faults=(Fault("stop", PID, 4.0),)).unexplained

    @pytest.mark.parametrize("end", ["F", "C"])
    def test_what_the_handler_asked_for_is_no_duplicate(self, end: str) -> None:
        found = findings(["S 1 5.0 10", f"{end} 1 5.1 10", "S 1 6.0 10", "D 1 6.1 10"])

        assert ([], 0, 2) == (found.problems(), found.duplicates, found.executions)

    def test_the_bound_counts_every_execution_that_a_fault_found(self) -> None:
        lines = ["S 1 5.0 10", "S 2 5.0 10", "S 3 5.0 11", "D 3 5.1 11", "S 1 6.0 11", "D 1 6.1 11"]

        assert 2 == findings(lines, "1 2 3", (kill(5.5, "1 2"),)).bound

    def test_recovery_is_from_the_kill_to_the_next_start(self) -> None:
        found = findings(CUT_OFF, faults=(kill(5.25, "1"),))

        assert (0.75, 0.75) == (found.worst_recovery_s, found.recovery_s(0.99))


class TestTheDump:
    def test_a_message_is_known_by_the_number_in_its_payload(self) -> None:
        assert "7" == id_of(json.dumps({"payload": {"n": 7}}).encode())

    @pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"1", b'{"payload": 1}', b"\xff", b"[" * 100_000])
    def test_anything_else_is_a_question(self, raw: bytes) -> None:
        assert "?" == id_of(raw)

    def test_a_dead_letter_is_a_header_before_the_message(self) -> None:
        record = b'{"at_ms":1,"reason":"exhausted"}\n{"payload":{"n":7}}'

        assert Stored("x:dead:records", (), {"7": "exhausted"}) == stored("x:dead:records", [record])

    def test_everything_else_holds_messages(self) -> None:
        assert Stored("q", ("7", "?")) == stored("q", [b'{"payload":{"n":7}}', b"x"])
