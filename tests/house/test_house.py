"""The house keeps its rules, and each rule finds what is planted against it and lets pass what is right.

The rules stand in *_rules.py, their tables and exceptions in plan.py, what is planted in *_cases.py.
"""

from collections.abc import Callable, Iterable

import pytest

from tests.house import (
    catalogue_cases,
    catalogue_rules,
    docstring_cases,
    docstring_rules,
    effect_cases,
    effect_rules,
    ground_cases,
    ground_rules,
    import_cases,
    import_rules,
    size_cases,
    size_rules,
)
from tests.house.source import ROOT, House, on_disk

Rule = Callable[[House], list[str]]
_MODULES = (import_rules, size_rules, docstring_rules, effect_rules, catalogue_rules, ground_rules)
_CASES = (import_cases, size_cases, docstring_cases, effect_cases, catalogue_cases, ground_cases)

# Every public function that judges a House.
RULES: list[Rule] = [
    rule
    for module in _MODULES
    for name, rule in vars(module).items()
    if callable(rule) and rule.__module__ == module.__name__ and not name.startswith("_")
    if rule.__annotations__ == {"house": "House", "return": "list[str]"}
]
# They look at what only a checkout has; an installed package has none of it.
OF_A_CHECKOUT = {ground_rules.readme_tree_is_the_tree, ground_rules.root_links_lead_to_the_rooms}
PLANTED: list[tuple[Rule, House, str]] = [case for cases in _CASES for case in cases.PLANTED]
GOOD: list[tuple[Rule, House]] = [case for cases in _CASES for case in cases.GOOD]


@pytest.fixture(scope="module")
def house() -> House:
    return on_disk()


def names(rules: Iterable[Rule]) -> list[str]:
    return [rule.__name__ for rule in rules]


@pytest.mark.parametrize("rule", RULES, ids=names(RULES))
def test_the_house_keeps(house: House, rule: Rule) -> None:
    if rule in OF_A_CHECKOUT and not (ROOT / "asyncq").is_dir():
        pytest.skip(f"{ROOT} is no whole checkout: it has no asyncq/, the package is installed elsewhere")
    found = rule(house)

    assert [] == found, "\n" + "\n".join(found)


@pytest.mark.parametrize(("rule", "planted", "found"), PLANTED, ids=names(case[0] for case in PLANTED))
def test_a_planted_violation_is_found(rule: Rule, planted: House, found: str) -> None:
    assert [found] == rule(planted)


@pytest.mark.parametrize(("rule", "good"), GOOD, ids=names(case[0] for case in GOOD))
def test_what_is_right_passes(rule: Rule, good: House) -> None:
    assert [] == rule(good)


def test_each_rule_is_shown_to_find_and_to_let_pass() -> None:
    assert set(names(RULES)) == set(names(case[0] for case in PLANTED)) == set(names(case[0] for case in GOOD))
    assert len(RULES) > 20


def test_the_real_house_is_seen_whole(house: House) -> None:
    folders = {source.where.split("/")[0] for source in house.sources}

    assert {"asyncq", "tests", "examples", "benchmarks"} <= folders
    assert len(house.modules) > 50
    assert {"", "simple", "core", "core.settings", "supervisor.spawn", "metrics.catalogue"} <= set(house.modules)
