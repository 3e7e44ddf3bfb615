"""docs/explanation/supervision.md says of signals, exit codes, states, reasons and limits what the code does."""

import dataclasses
import re
import signal
from itertools import product

import pytest

from asyncq.core import errors
from asyncq.core.settings import CATALOGUE
from asyncq.supervisor import policy, watchdog
from asyncq.supervisor.child import State
from asyncq.supervisor.policy import Exit
from asyncq.supervisor.signals import COMMANDS
from asyncq.supervisor.spec import SupervisorSettings
from asyncq.worker import main as worker_main
from tests.docs.page import PACKAGE, ROOT, names

PATH = ROOT / "docs/explanation/supervision.md"
PAGE = PATH.read_text(encoding="utf-8")
LIMITS = {field.name: field.default for field in dataclasses.fields(SupervisorSettings) if field.name.endswith("_s")}
FLAGS = {setting.flag: setting for setting in CATALOGUE}


def tables(first_column: str) -> list[list[list[str]]]:
    """The cells of every row below the heads of each table whose first column is called so."""
    found = []
    for part in PAGE.split(f"\n| {first_column} |")[1:]:
        rows = part.partition("\n\n")[0].splitlines()[2:]
        found.append([[cell.strip() for cell in row.split("|")[1:-1]] for row in rows])
    return found


def table(first_column: str) -> list[list[str]]:
    (found,) = tables(first_column)
    return found


def test_every_signal_of_the_supervisor_stands_there_with_its_command() -> None:
    to_supervisor, _ = tables("signal")
    listed = {name: command for cell, command, _ in to_supervisor for name in names(cell)}

    assert {number.name: f"`{command.name}`" for number, command in COMMANDS.items()} == listed


def test_every_signal_of_a_worker_stands_there() -> None:
    _, to_worker = tables("signal")
    listed = {name for cell, _ in to_worker for name in names(cell)}
    handled = handled_in("worker/main.py", "worker/dump.py")

    # Ctrl-C is kept from children; SIGSTOP cannot be handled.
    of_children = handled_in("cli/children.py")
    assert (handled | of_children) - {signal.SIGINT.name} == listed - {signal.SIGSTOP.name}
    assert worker_main.__doc__ is not None
    assert all(name in worker_main.__doc__ for name in handled)


def handled_in(*files: str) -> set[str]:
    source = "".join((PACKAGE / file).read_text() for file in files)
    return set(re.findall(r"(?:add_signal_handler|signal\.signal)\(signal\.(SIG\w+)", source))


def test_every_exit_code_stands_there_once() -> None:
    codes = [value for name, value in vars(errors).items() if name.startswith("EXIT_")]

    assert sorted(codes) == [int(code) for code, _ in table("code")]


def test_every_state_stands_there_in_the_table_and_in_the_picture() -> None:
    assert [f"`{state.name}`" for state in State] == [cell for cell, _ in table("state")]
    picture = PAGE.partition("## The life of a child")[2].partition("| state |")[0]
    assert [] == [state.name for state in State if state.name not in picture]


def judged() -> dict[str, set[tuple[bool, bool]]]:
    """Reason -> (counted, has settled something), over all that can be judged of a worker that ran nothing alone."""
    found: dict[str, set[tuple[bool, bool]]] = {}
    ends = (Exit(0), Exit(1), Exit(75), Exit(-signal.SIGTERM), Exit(-signal.SIGKILL), Exit(-signal.SIGSEGV))
    for end, asked, ready, settled, hung, oom in product(ends, *[(False, True)] * 5):
        verdict = policy.judge(end, asked=asked, was_ready=ready, settled=settled, hung=hung, oom=oom)
        found.setdefault(verdict.reason, set()).add((verdict.counted, settled))
    return found


def test_every_reason_stands_there_and_whether_it_counts() -> None:
    words = {
        "never": {(False, False), (False, True)},
        "always": {(True, False), (True, True)},
        "if it had settled nothing": {(True, False), (False, True)},
    }

    assert judged() == {reason.strip("`"): words[counts] for reason, _, counts in table("reason")}


def test_every_limit_stands_there_with_its_default_and_its_flag() -> None:
    rows = {names(cell)[0]: (float(seconds), flag.strip("`")) for cell, seconds, flag, _ in table("limit")}
    numbers = {field.name: field.default for field in dataclasses.fields(SupervisorSettings)}

    assert {name: default for name, (default, _) in rows.items()} == numbers
    # A limit that is a setting has the same name there; those without a flag must not have one.
    settings = {setting.name: (setting.flag, setting.default) for setting in CATALOGUE}
    assert {name: flag for name, (_, flag) in rows.items() if flag} == {
        name: settings[name][0] for name in rows if name in settings
    }
    assert [] == [name for name, (default, flag) in rows.items() if flag and FLAGS[flag].default != default]


def test_every_flag_that_is_named_exists() -> None:
    named = set(re.findall(r"`(--[a-z-]+)", PAGE))
    known = {spelling for setting in CATALOGUE for spelling in setting.spellings}

    assert named - known == set()


def test_every_log_line_that_is_named_is_written() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (PACKAGE / "supervisor").glob("*.py"))
    named = ["child died", "event loop blocked", "crash loop suspected", "fork is not safe", "watchdog is not fed"]

    assert [] == [name for name in named if f"`{name}`" not in PAGE or f'"{name}"' not in source]


@pytest.mark.parametrize(
    ("sentence", "holds"),
    [
        ("less than a tenth of a CPU: it is waited for ten times", (watchdog.STARVED_SHARE, watchdog.STARVED_PATIENCE)),
    ],
)
def test_figures_in_sentences_are_those_of_the_code(sentence: str, holds: tuple[float, float]) -> None:
    assert sentence in " ".join(PAGE.split())
    assert (0.1, 10) == holds


def test_every_file_and_link_exists() -> None:
    links = re.findall(r"\]\(([\w./-]+\.md)\)", PAGE)
    paths = re.findall(r"`((?:tests|deploy|docs|benchmarks)/[\w./-]+)`", PAGE)

    assert [] == [link for link in links if not (PATH.parent / link).exists()]
    assert [] == [path for path in paths if not (ROOT / path).exists()]
