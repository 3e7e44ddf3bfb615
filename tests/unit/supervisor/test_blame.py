"""What the end of a worker says against the messages that it was running."""

import pytest

from asyncq.core.blame import Blame
from asyncq.supervisor.policy import Exit, Verdict, blame, cause, judge


@pytest.mark.parametrize(
    ("code", "asked", "expected"),
    [
        (-9, False, "killed"),
        (-9, True, "nobody"),  # we killed it for being late, whatever it ran
        (-11, False, "crashed"),
        (-11, True, "crashed"),
        (-6, False, "crashed"),
        (1, False, "crashed"),
        (0, False, "crashed"),  # with something in flight only a handler's os._exit(0) ends like this
        (0, True, "crashed"),
        (75, False, "lost"),  # told to leave by somebody, and Redis was away
        (75, True, "nobody"),
        (-15, False, "lost"),
        (-15, True, "nobody"),
        (-3, False, "lost"),
    ],
)
def test_an_end_accuses_as_its_cause_allows(code: int, asked: bool, expected: str) -> None:
    assert blame(Exit(code), asked=asked) == expected
    assert Blame[expected.upper()] in Blame


def test_the_worse_an_end_the_more_points_it_gives() -> None:
    assert Blame.NOBODY == 0
    assert Blame.LOST < Blame.KILLED < Blame.CRASHED


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize(("code", "expected"), [(-6, "crashed"), (-9, "killed")])
def test_who_was_stopped_by_somebody_is_no_better_evidence_than_who_was_killed(
    code: int, expected: str, asked: bool
) -> None:
    assert blame(Exit(code), asked=asked, hung=True) == expected


@pytest.mark.parametrize(("asked", "expected"), [(False, "crashed"), (True, "nobody")])
def test_what_takes_all_memory_is_to_blame_for_the_kernels_kill(asked: bool, expected: str) -> None:
    assert blame(Exit(-9), asked=asked, oom=True) == expected
    assert cause(Exit(-9), hung=False, oom=True) == "killed by SIGKILL (out of memory)"


@pytest.mark.parametrize(("asked", "expected"), [(False, "crashed"), (True, "nobody")])
def test_who_kills_its_own_process_is_no_storm_of_kills(asked: bool, expected: str) -> None:
    assert blame(Exit(-9), asked=asked, own_hand=True) == expected
    assert cause(Exit(-9), hung=False, oom=False, own_hand=True) == "killed by SIGKILL (by its own hand)"


@pytest.mark.parametrize(("code", "reason"), [(-9, "killed"), (-11, "killed"), (1, "crash"), (0, "external")])
def test_the_death_of_a_suspect_that_ran_alone_does_not_count_for_the_brake(code: int, reason: str) -> None:
    def died(*, alone: bool) -> Verdict:
        return judge(Exit(code), asked=False, was_ready=True, settled=0, alone=alone)

    assert died(alone=True) == Verdict(reason, False)
    assert died(alone=False) == Verdict(reason, True)
