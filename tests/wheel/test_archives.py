"""The sdist and the wheel hold what they should, each file once; and the checks find what is planted."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

import asyncq
from tests.wheel.archives import (
    ROOM_LINKS,
    SDIST_GENERATED,
    WHEEL_GENERATED,
    names_in,
    package_files,
    sdist_faults,
    tracked_files,
    wheel_faults,
)
from tests.wheel.building import NO_CHECKOUT, ROOT, Built, build_both, is_checkout
from tests.wheel.conftest import LITTER
from tests.wheel.venvs import Venv

if not is_checkout():
    pytest.skip(NO_CHECKOUT, allow_module_level=True)

PACKAGE = package_files(ROOT)
TOP = f"asyncq_supervise-{asyncq.__version__}"
DIST_INFO = f"{TOP}.dist-info"
# What somebody needs who packages asyncq elsewhere: to build it, to run its tests, to read about it.
PACKAGERS_NEED = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml", "run", ".ci/run"),
    *("asyncq/__init__.py", "asyncq/py.typed", "asyncq/broker/lua/take.lua"),
    *("tests/conftest.py", "tests/support/states.py", "tests/wheel/test_archives.py"),
    *("examples/signup/tasks.py", "examples/signup/events.jsonl", "examples/signup/README.md"),
    *("benchmarks/__main__.py", "docs/reference/protocol.md"),
]


def test_the_wheel_holds_the_package_and_nothing_else_each_file_once(built: Built) -> None:
    assert [] == wheel_faults(names_in(built.wheel), PACKAGE, DIST_INFO)
    assert {"asyncq/py.typed", "asyncq/broker/lua/take.lua"} <= set(PACKAGE)


def test_the_wheel_holds_the_files_as_they_are(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        assert [] == [name for name in PACKAGE if wheel.read(name) != (ROOT / name).read_bytes()]


def test_the_sdist_holds_every_file_of_the_project_once(built: Built) -> None:
    project = tracked_files(ROOT)
    if project is None:
        pytest.skip("no git checkout, so that nobody says what belongs to the project")
    assert [] == sdist_faults(names_in(built.sdist), project, TOP)


def test_the_sdist_holds_what_a_packager_needs(built: Built) -> None:
    names = names_in(built.sdist)

    assert [] == [name for name in PACKAGERS_NEED if f"{TOP}/{name}" not in names]
    assert len(names) == len(set(names))


def test_no_litter_gets_into_an_archive(built: Built) -> None:
    names = [name.removeprefix(f"{TOP}/") for archive in (built.sdist, built.wheel) for name in names_in(archive)]

    assert set() == set(LITTER) & set(names)
    assert [] == [name for name in names if "asyncq/old" in name or ".asyncq" in name or name.endswith(".pyc")]


def test_the_sdist_holds_no_links_and_keeps_run_executable(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        assert [] == [member.name for member in sdist if not (member.isfile() or member.isdir())]
        assert sdist.getmember(f"{TOP}/run").mode & 0o111 == 0o111


def test_building_again_from_the_sdist_gives_the_same_files(builder: Venv, built: Built, tmp_path: Path) -> None:
    again = build_both(builder, built.unpacked, tmp_path)

    assert (built.sdist.name, built.wheel.name) == (again.sdist.name, again.wheel.name)
    assert sorted(names_in(built.sdist)) == sorted(names_in(again.sdist))
    assert sorted(names_in(built.wheel)) == sorted(names_in(again.wheel))


def good_wheel() -> list[str]:
    return [*PACKAGE, *(f"{DIST_INFO}/{name}" for name in WHEEL_GENERATED)]


@pytest.mark.parametrize("name", ["tests/conftest.py", "worker/main.py", "supervisor/__init__.py", "asyncq/old.py"])
def test_a_file_too_many_in_a_wheel_is_found(name: str) -> None:
    assert [f"{name}: does not belong there"] == wheel_faults([*good_wheel(), name], PACKAGE, DIST_INFO)


@pytest.mark.parametrize("name", ["asyncq/py.typed", "asyncq/broker/lua/take.lua", f"{DIST_INFO}/entry_points.txt"])
def test_a_file_missing_in_a_wheel_is_found(name: str) -> None:
    found = [other for other in good_wheel() if other != name]
    assert [f"{name}: missing"] == wheel_faults(found, PACKAGE, DIST_INFO)


def test_a_file_twice_in_a_wheel_is_found(tmp_path: Path) -> None:
    path = tmp_path / "twice.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name in good_wheel():
            wheel.writestr(name, "")
        with pytest.warns(UserWarning, match="Duplicate name"):
            wheel.writestr("asyncq/simple.py", "")
    assert ["asyncq/simple.py: there 2 times"] == wheel_faults(names_in(path), PACKAGE, DIST_INFO)


def test_rooms_that_appear_at_the_top_of_an_sdist_are_found(tmp_path: Path) -> None:
    project = ["pyproject.toml", "asyncq/worker/main.py", *ROOM_LINKS]
    found = [f"{TOP}/{name}" for name in ("pyproject.toml", "asyncq/worker/main.py", *SDIST_GENERATED)]
    (tmp_path / "main.py").touch()
    path = tmp_path / "rooms.tar.gz"
    with tarfile.open(path, "w:gz") as sdist:
        for name in (*found, f"{TOP}/worker/main.py"):
            sdist.add(tmp_path / "main.py", name)
    assert [f"{TOP}/worker/main.py: does not belong there"] == sdist_faults(names_in(path), project, TOP)
    assert [f"{TOP}/pyproject.toml: missing"] == sdist_faults(found[1:], project, TOP)
