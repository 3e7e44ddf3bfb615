"""The mutation check itself, and its quick form: no mechanism can go without a test that fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutations.__main__ import check_texts, choose, line, main, survivors
from tests.mutations.catalogue import MUTATIONS, Change, Mutation
from tests.mutations.running import Bench, OutOfDateError, changed, judged
from tests.wheel.building import NO_CHECKOUT, ROOT, is_checkout

pytestmark = pytest.mark.skipif(not is_checkout(), reason=NO_CHECKOUT)

LEDGER = "asyncq/broker/ledger.py"
RANGES = "tests/unit/broker/test_ledger.py::test_ranges_never_meet_when_reserved_one_after_another"
HARMLESS = Mutation("a word of a comment", RANGES, (Change(LEDGER, "Pure bookkeeping.", "Bookkeeping."),))
HARMFUL = Mutation("tokens are given out once", RANGES, (Change(LEDGER, "self._next += count", "pass"),))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("mutations") / "copy")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_mechanism_can_go_unnoticed(bench: Bench, tmp_path: Path) -> None:
    """All but the slow ones; that their tests pass while nothing is missing is seen where those tests are run."""
    assert [] == survivors(choose([], quick=True), [bench, Bench(tmp_path / "copy")])


def test_the_catalogue_says_what_the_source_says() -> None:
    check_texts(MUTATIONS)
    assert len(MUTATIONS) == len({mutation.name for mutation in MUTATIONS})


@pytest.mark.parametrize("test", sorted({mutation.test for mutation in MUTATIONS}))
def test_every_named_test_exists(test: str) -> None:
    path, *_, name = test.split("::")
    assert re.search(rf"^ *(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_a_survivor_is_named_and_what_is_noticed_is_not(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    before = (bench.folder / LEDGER).read_text(encoding="utf-8")
    assert [HARMLESS] == survivors([HARMFUL, HARMLESS, HARMFUL], [bench])
    said = capsys.readouterr().out.splitlines()
    assert ["ok", "BAD", "ok", "2"] == [words.split()[0] for words in said]
    assert "2 of 3 mutations were noticed" == said[-1]
    assert before == (bench.folder / LEDGER).read_text(encoding="utf-8")


def test_a_test_that_is_not_there_notices_nothing(bench: Bench) -> None:
    lost = Mutation("tokens are given out once", f"{RANGES}_and_more", HARMFUL.changes)
    assert [lost] == survivors([lost], [bench])
    assert "pytest ended with 4" in bench.run([lost.test]).trouble


@pytest.mark.parametrize(("count", "old"), [(0, "no such text"), (2, "self._adopted.update(stray)\n        self.held")])
def test_a_text_that_is_not_there_once_is_refused(count: int, old: str) -> None:
    text = (ROOT / LEDGER).read_text(encoding="utf-8") * max(count, 1)
    with pytest.raises(OutOfDateError, match=f"expected once in {LEDGER}, found {count} times: .*up to date"):
        changed(text, Change(LEDGER, old, "new"))


def test_nothing_is_changed_when_a_text_is_out_of_date(bench: Bench) -> None:
    before = (bench.folder / LEDGER).read_text(encoding="utf-8")
    stale = Mutation("stale", RANGES, (*HARMFUL.changes, Change(LEDGER, "no such text", "")))
    with pytest.raises(OutOfDateError), bench.mutated(stale):
        pass
    assert before == (bench.folder / LEDGER).read_text(encoding="utf-8")


def test_only_a_failed_test_counts() -> None:
    failed = judged(1, "...\n2 failed, 1 passed, 1 error in 0.50s\n", 0.5)
    assert (2, 1, "") == (failed.failed, failed.passed, failed.trouble)
    assert "ok   without: x | a::b | failed | 0.5 s" == line("x", "a::b", failed, expected="failed")
    broken = judged(1, "1 error in 0.50s", 0.5)
    assert (0, "pytest ended with 1: 1 error in 0.50s") == (broken.failed, broken.trouble)
    assert "BAD  without: x | a::b | passed | 0.5 s" == line("x", "a::b", judged(0, "1 passed", 0.5), expected="failed")


def test_words_choose_and_a_word_of_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert all("fence" in mutation.name for mutation in choose(["fence"], quick=False))
    assert (0, 2) == (main(["--list", "fence"]), main(["nothing is called that"]))
    assert "no mutation is called that" in capsys.readouterr().out
