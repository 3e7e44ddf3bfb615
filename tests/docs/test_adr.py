"""Decision records have their form, stand in the index, and name only files, commands and links that exist."""

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import benchmarks
from tests.chaos.__main__ import import_cases
from tests.chaos.verdict import CASES
from tests.docs.page import PACKAGE

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "adr"
INDEX = "README.md"
PARTS = ("Context", "Choice", "Considered", "Numbers", "Consequences")
OPTIONAL = "Numbers"
MAX_LINES = 60
BENCHMARK = "python -m benchmarks"
CHAOS = "python -m tests.chaos"
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")
# What looks like a path and is meant as one: not /metrics, not rediss://, not `client/server`.
PATH = re.compile(r"\.?\w[\w.-]*(/[\w.-]+)*(/|\.(py|md|lua|toml|json|jsonl|yml|yaml|service|txt))")


def faults(folder: Path) -> list[str]:
    """Everything that is wrong with a folder of decisions, one sentence each."""
    records = {path.name: path.read_text() for path in sorted(folder.glob("*.md")) if path.name != INDEX}
    found = [fault for name, text in records.items() for fault in (*_form(name, text), *_named(folder, name, text))]
    return found + _numbers(records) + _index((folder / INDEX).read_text(), records)


def _form(name: str, text: str) -> list[str]:
    found = []
    number = re.match(r"(\d{4})-[a-z0-9-]+\.md$", name)
    if not number:
        return [f"{name}: expected a name like 0001-some-words.md"]
    if not re.match(rf"# {int(number[1])}\. [^\n]+[^.\n]\n\n", text):
        found.append(f"{name}: expected a first line like '# {int(number[1])}. A statement' and an empty one")
    parts = re.findall(r"^(\w+)(?::|;)", text, re.MULTILINE)
    said = [part for part in parts if part in PARTS]
    if said not in (list(PARTS), [part for part in PARTS if part != OPTIONAL]):
        found.append(f"{name}: expected the parts {', '.join(PARTS)}, found {', '.join(said)}")
    if OPTIONAL in said and not _commands(_part(text, OPTIONAL)):
        found.append(f"{name}: Numbers names no `./run {BENCHMARK} ...` or `./run {CHAOS} ...`")
    if (lines := len(text.splitlines())) > MAX_LINES:
        found.append(f"{name}: {lines} lines; at most {MAX_LINES}")
    return found


def _part(text: str, part: str) -> str:
    """From the part's word to the next one's."""
    begun = re.split(rf"^{part}[:;]", text, maxsplit=1, flags=re.MULTILINE)[1]
    return re.split(rf"^(?:{'|'.join(PARTS)})[:;]", begun, maxsplit=1, flags=re.MULTILINE)[0]


def _commands(text: str) -> list[str]:
    return [code for code in _codes(text) if code.startswith((f"./run {BENCHMARK}", f"./run {CHAOS}"))]


def _codes(text: str) -> list[str]:
    return [" ".join(code.split()) for code in CODE.findall(text)]


def _named(folder: Path, name: str, text: str) -> list[str]:
    """What the page names and nobody has."""
    found = []
    for code in _codes(text):
        fault = _command_fault(code.split()[1:]) if code.startswith("./run ") else _path_fault(code)
        if fault:
            found.append(f"{name}: `{code}`: {fault}")
    for _, target in LINK.findall(text):
        if "://" not in target and not (folder / target.partition("#")[0]).is_file():
            found.append(f"{name}: links to {target}, which is not there")
    return found


def _path_fault(code: str) -> str:
    """A path counts from the root or from asyncq/, as in CONTRIBUTING."""
    if not PATH.fullmatch(code) or any(place.joinpath(code).exists() for place in (ROOT, PACKAGE.parent, PACKAGE)):
        return ""
    return "there is no such file"


def _command_fault(words: list[str]) -> str:
    if words[:3] == BENCHMARK.split():
        return _benchmark_fault(words[3:])
    if words[:3] == CHAOS.split():
        return _case_fault(words[3:])
    missing = [word for word in words[1:] if "/" in word and not ROOT.joinpath(word).exists()]
    return f"there is no {missing[0]}" if missing else ""


def _case_fault(words: list[str]) -> str:
    import_cases()
    missing = [word for word in words if not word.startswith("-") and word not in CASES]
    return f"there is no case {missing[0]!r}" if missing else ""


def _benchmark_fault(words: list[str]) -> str:
    command = benchmarks.commands.get(words[0] if words else "")
    if command is None:
        return f"there is no benchmark {words[0] if words else ''!r}"
    known = {option for parameter in command.params for option in parameter.opts}
    strange = [word for word in words[1:] if word.startswith("--") and word.partition("=")[0] not in known]
    return f"it has no option {strange[0]}" if strange else ""


def _numbers(records: dict[str, str]) -> list[str]:
    seen: dict[str, str] = {}
    found = []
    for name in records:
        if (other := seen.setdefault(name[:4], name)) != name:
            found.append(f"{name}: {other} has that number")
    return found


def _index(index: str, records: dict[str, str]) -> list[str]:
    """Each record stands there once, in order, under its own title."""
    listed = [(title, target) for title, target in LINK.findall(index) if target in records or target[:1].isdigit()]
    wanted = [(text.partition("\n")[0].removeprefix("# "), name) for name, text in sorted(records.items())]
    if listed == wanted:
        return []
    strange = [target for entry in listed if entry not in wanted for target in entry[1:]]
    missing = [name for entry in wanted if entry not in listed for name in entry[1:]]
    return [f"{INDEX}: wrong or missing: {', '.join(dict.fromkeys(strange + missing)) or 'the order'}"]


def test_the_decisions_are_as_they_should_be() -> None:
    assert [] == faults(FOLDER)


def test_there_is_something_to_look_at() -> None:
    """The patterns find what they are for: else nothing would ever be wrong."""
    whole = "\n".join(path.read_text() for path in FOLDER.glob("0*.md"))

    assert len([code for code in _codes(whole) if PATH.fullmatch(code)]) > 15
    assert {"drain", "wire", "metrics", "processes"} <= {command.split()[4] for command in _commands(whole)}
    assert len(LINK.findall(whole)) >= 4


ONE, TWO = "0001-one-way.md", "0002-another-way.md"
GOOD = {
    ONE: (
        "# 1. One way\n\nContext: it is so.\n\nChoice: this (`worker/feeder.py`, [two](0002-another-way.md)).\n\n"
        "Considered: that.\n\nNumbers: `./run python -m benchmarks drain --aof`: 1.\n\nConsequences: some.\n"
    ),
    TWO: (
        "# 2. Another way\n\nContext: `GET /metrics`, `a/b`, `rediss://`.\n\nChoice: this.\n\n"
        "Considered; all were tried:\n\n- that.\n\nConsequences: `./run pytest tests/docs` holds it.\n"
    ),
    INDEX: "# Decisions\n\n- [1. One way](0001-one-way.md)\n- [2. Another way](0002-another-way.md)\n",
}


def judged(folder: Path, pages: dict[str, str]) -> list[str]:
    """The faults of pages that lie in a folder of their own."""
    for name, text in pages.items():
        (folder / name).write_text(text)
    return faults(folder)


def test_good_pages_pass(tmp_path: Path) -> None:
    assert [] == judged(tmp_path, GOOD)


NO_COMMAND = "Numbers names no `./run python -m benchmarks ...` or `./run python -m tests.chaos ...`"
ALL = "expected the parts Context, Choice, Considered, Numbers, Consequences, found"


@pytest.mark.parametrize(
    ("fault", "name", "old", "new"),
    [
        ("expected a first line like '# 1. A statement' and an empty one", ONE, "way\n\n", "way\n"),
        (f"{ALL} Choice, Considered, Numbers, Consequences", ONE, "Context:", "It:"),
        (f"{ALL} Context, Considered, Consequences", TWO, "Choice:", "Chosen:"),
        (f"{ALL} Context, Choice, Consequences", TWO, "Considered;", "Thought;"),
        (f"{ALL} Context, Choice, Considered", TWO, "Consequences:", "So:"),
        (f"{ALL} Choice, Context, Choice, Considered, Consequences", TWO, "Context:", "Choice: no.\n\nContext:"),
        (NO_COMMAND, ONE, "./run python -m benchmarks drain --aof", "fast"),
        ("`./run python -m tests.chaos T0`: there is no case 'T0'", ONE, "benchmarks drain --aof", "tests.chaos T0"),
        ("61 lines; at most 60", TWO, "- that.\n", "- that.\n" * 51),
        ("`worker/feed.py`: there is no such file", ONE, "feeder.py", "feed.py"),
        ("`broken/lua/`: there is no such file", ONE, "worker/feeder.py", "broken/lua/"),
        ("links to 0003-none.md, which is not there", ONE, "(0002-another-way.md)", "(0003-none.md)"),
        ("`./run python -m benchmarks drown --aof`: there is no benchmark 'drown'", ONE, "drain", "drown"),
        ("`./run python -m benchmarks drain --rdb`: it has no option --rdb", ONE, "--aof", "--rdb"),
        ("`./run pytest tests/dogs`: there is no tests/dogs", TWO, "tests/docs", "tests/dogs"),
        ("wrong or missing: 0002-another-way.md", INDEX, "- [2. Another way](0002-another-way.md)\n", ""),
        ("wrong or missing: 0001-one-way.md", INDEX, "[1. One way]", "[1. A way]"),
        ("wrong or missing: 0003-none.md", INDEX, "- [2.", "- [3. None](0003-none.md)\n- [2."),
        ("wrong or missing: the order", INDEX, "- [2. Another way](0002-another-way.md)\n", "{twice}"),
    ],
)
def test_a_planted_mistake_is_found(tmp_path: Path, fault: str, name: str, old: str, new: str) -> None:
    assert old in GOOD[name]
    changed = GOOD[name].replace(old, new)
    if new == "{twice}":
        changed = GOOD[name].replace(old, "").replace("- [1.", old + "- [1.")

    assert [f"{name}: {fault}"] == judged(tmp_path, {**GOOD, name: changed})


@pytest.mark.parametrize("title", ["# One way", "# 3. One way", "# 1. One way."])
def test_a_wrong_title_is_found_on_its_page_and_in_the_index(tmp_path: Path, title: str) -> None:
    found = judged(tmp_path, {**GOOD, ONE: GOOD[ONE].replace("# 1. One way", title)})

    assert [
        f"{ONE}: expected a first line like '# 1. A statement' and an empty one",
        f"{INDEX}: wrong or missing: {ONE}",
    ] == found


def test_two_with_one_number_are_found(tmp_path: Path) -> None:
    third = "0002-zebras.md"
    index = GOOD[INDEX] + f"- [2. Zebras]({third})\n"
    pages = {**GOOD, third: GOOD[TWO].replace("Another way", "Zebras"), INDEX: index}

    assert [f"{third}: {TWO} has that number"] == judged(tmp_path, pages)


def test_a_page_without_a_number_is_found(tmp_path: Path) -> None:
    found = judged(tmp_path, {**GOOD, "notes.md": "Context: none"})

    assert "notes.md: expected a name like 0001-some-words.md" in found
