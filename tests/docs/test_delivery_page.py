"""docs/explanation/delivery.md and delivery-tests.md name what exists, and leave no fault test out."""

import re

from tests.chaos.__main__ import import_cases
from tests.chaos.table import ELSEWHERE
from tests.chaos.verdict import CASES
from tests.docs.page import ROOT

FOLDER = ROOT / "docs/explanation"
PAGE = (FOLDER / "delivery.md").read_text(encoding="utf-8")
RESULTS = (FOLDER / "delivery-tests.md").read_text(encoding="utf-8")
OTHERS = r"idle|storm|readonly|poison-proxy|client-kill|client-pause"


def named() -> set[str]:
    """Cases in the last column of the matrix."""
    last = [line.rstrip(" |").rpartition("|")[2] for line in PAGE.splitlines() if line.startswith("| ")]
    return {name for cell in last for name in re.findall(rf"`(T\d+[\w-]*|bar-[\w-]+|{OTHERS})`", cell)}


def listed() -> set[str]:
    """Cases with a row of results."""
    return set(re.findall(r"^\| ([\w-]+) \|", RESULTS, re.MULTILINE)) - {"case", "complaint"}


def test_every_case_of_the_matrix_exists() -> None:
    import_cases()

    assert len(named()) > 35
    assert named() <= set(CASES)


def test_every_file_that_a_page_names_exists() -> None:
    paths = re.findall(r"`(tests/[\w/]+\.py)`", PAGE + RESULTS)
    links = re.findall(r"\]\(([\w./-]+\.md)\)", PAGE + RESULTS)

    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [link for link in links if not (FOLDER / link).exists()] == []


def test_the_results_have_a_row_for_every_fault_test() -> None:
    import_cases()

    assert listed() == {*CASES, *ELSEWHERE}
    assert {f"T{number}" for number in range(1, 49)} - {"T23"} <= listed()  # T23 has three parts


def test_every_test_that_a_page_names_exists() -> None:
    names = set(re.findall(r"`(test_\w+)`", PAGE + RESULTS))
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }

    assert len(names) > 10
    assert names <= written


def test_a_failed_case_is_explained() -> None:
    failed = set(re.findall(r"^\| ([\w-]+) \|[^|]*\| \*\*failed", RESULTS, re.MULTILINE))

    assert [name for name in failed if f"`{name}`" not in PAGE.partition("## What is not promised")[2]] == []
