"""Every script is listed, has its contract, its test file, and its own name."""

from pathlib import Path

import pytest

import asyncq.broker
from asyncq.broker.scripts import NAMES, script, script_of

FOLDER = Path(asyncq.broker.__file__).parent / "lua"


def test_every_file_is_listed_when_the_folder_is_read() -> None:
    assert sorted([*NAMES, "prelude"]) == sorted(path.stem for path in FOLDER.glob("*.lua"))


@pytest.mark.parametrize("name", NAMES)
def test_contract_stands_at_the_top_when_a_script_is_opened(name: str) -> None:
    text = (FOLDER / f"{name}.lua").read_text()
    header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("--"))
    assert text.startswith(f"-- {name}: ")
    assert [word for word in ("-- KEYS ", "-- ARGV ", "-- Returns ", "-- Cost ") if word not in header] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_test_file_exists_when_a_script_exists(name: str) -> None:
    assert (Path(__file__).parent / f"test_lua_{name}.py").exists()


def test_script_is_found_again_when_only_its_command_is_known() -> None:
    assert script("reap") == script_of(script("reap").command(("a", "b"), 1))
