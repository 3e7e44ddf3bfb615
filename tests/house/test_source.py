"""The house is read as it lies there: a checkout, an archive, an unpacked sdist, or beside an installed package."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house.source import House, on_disk

FILES = ("README.md", "asyncq/__init__.py", "asyncq/core/codec.py", "tests/a.py", "docs/adr/1.md", "run", ".ci/run")
BESIDE = (
    ".venv/x.py",
    "scratch.txt",
    "asyncq_supervise.egg-info/PKG-INFO",
    ".coverage",
    "dist/a.whl",
    "build/lib/a.py",
)


def lay(root: Path, *files: str) -> None:
    for where in files:
        (root / where).parent.mkdir(parents=True, exist_ok=True)
        (root / where).write_text(where)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "house"
    lay(root, *FILES)
    (root / "worker").symlink_to("asyncq/worker")
    return root


def seen(root: Path) -> House:
    return on_disk(root, root / "asyncq")


def git(root: Path, *arguments: str) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    subprocess.run(["git", "-c", "init.defaultBranch=main", *arguments], cwd=root, check=True, capture_output=True)


def test_files_links_and_top_are_read(root: Path) -> None:
    house = seen(root)

    assert {"README.md", "asyncq/__init__.py", "asyncq/core/codec.py", "tests/a.py", "docs/adr/1.md"} == set(
        house.files
    )
    assert "tests/a.py" == house.files["tests/a.py"]
    assert {"worker": "asyncq/worker"} == house.links
    assert {"README.md", "asyncq", "tests", "docs", "run", ".ci", "worker"} == house.top


def test_what_is_made_beside_it_is_not_of_an_archive(root: Path) -> None:
    before = seen(root).top
    lay(root, *(where for where in BESIDE if where != "scratch.txt"))

    assert ("archive", before) == (seen(root).kind, seen(root).top)


def test_a_stranger_at_the_top_of_an_archive_is_seen(root: Path) -> None:
    lay(root, "attic/a.py")

    assert "attic" in seen(root).top


def test_pkg_info_marks_an_sdist(root: Path) -> None:
    before = seen(root).top
    lay(root, "PKG-INFO", "setup.cfg")

    assert ("sdist", before) == (seen(root).kind, seen(root).top)


def test_a_checkout_has_at_the_top_what_git_knows(root: Path) -> None:
    git(root, "init")
    git(root, "add", ".")
    before = seen(root).top
    lay(root, *BESIDE, ".gitignore")
    os.remove(root / "run")

    assert ("checkout", before - {"run"}) == (seen(root).kind, seen(root).top)


def test_a_repository_around_it_does_not_make_it_a_checkout(root: Path) -> None:
    git(root.parent, "init")

    assert "archive" == seen(root).kind
    assert "asyncq" in seen(root).top


def test_an_installed_package_is_named_as_in_the_checkout(root: Path) -> None:
    installed = root.parent / "site-packages" / "asyncq"
    installed.parent.mkdir()
    shutil.move(root / "asyncq", installed)
    house = on_disk(root, installed)

    assert {"", "core.codec"} == set(house.modules)
    assert "asyncq/core/codec.py" == house.modules["core.codec"].where
    assert "asyncq" not in house.top
