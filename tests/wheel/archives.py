"""What an sdist or a wheel holds, compared with what it should hold.

The checks are functions over lists of names, so that a test can plant a fault and see it found.
"""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path

ROOM_LINKS = ("supervisor", "worker", "metrics")  # their files are there once, below asyncq/
# What the build backend writes, besides what it is given.
SDIST_GENERATED = (
    "PKG-INFO",
    "setup.cfg",
    *(
        f"asyncq_supervise.egg-info/{name}"
        for name in (
            "PKG-INFO",
            "SOURCES.txt",
            "dependency_links.txt",
            "entry_points.txt",
            "requires.txt",
            "top_level.txt",
        )
    ),
)
WHEEL_GENERATED = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt")


def faults(found: Iterable[str], expected: Iterable[str]) -> list[str]:
    """What is there twice, missing, or not asked for; each as one sentence."""
    counts, wanted = Counter(found), set(expected)
    twice = [f"{name}: there {count} times" for name, count in counts.items() if count > 1]
    missing = [f"{name}: missing" for name in wanted - set(counts)]
    strange = [f"{name}: does not belong there" for name in set(counts) - wanted]
    return sorted(twice + missing + strange)


def wheel_faults(found: Iterable[str], package: Iterable[str], dist_info: str) -> list[str]:
    """A wheel holds the package and its metadata."""
    return faults(found, [*package, *(f"{dist_info}/{name}" for name in WHEEL_GENERATED)])


def sdist_faults(found: Iterable[str], project: Iterable[str], top: str) -> list[str]:
    """An sdist holds the project below one folder, without the links, and what the backend generates."""
    real = [name for name in project if name not in ROOM_LINKS]
    return faults(found, [f"{top}/{name}" for name in (*real, *SDIST_GENERATED)])


def names_in(archive: Path) -> list[str]:
    """Everything in a wheel or an sdist that is no folder, as often as it is there."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return [name for name in wheel.namelist() if not name.endswith("/")]
    with tarfile.open(archive) as sdist:
        return [member.name for member in sdist if not member.isdir()]


def package_files(root: Path) -> list[str]:
    """The package as it lies in a checkout, without what the interpreter leaves there."""
    paths = (path for path in (root / "asyncq").rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    return sorted(path.relative_to(root).as_posix() for path in paths)


def tracked_files(root: Path) -> list[str] | None:
    """What git says belongs to the project, new files included; None where no git can be asked."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    if done.returncode or not (root / ".git").exists():
        return None
    return [name for name in sorted(set(done.stdout.split("\0"))) if name and (root / name).exists()]


def metadata(wheel: Path) -> Message:
    """The METADATA of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return BytesParser(policy=compat32).parsebytes(archive.read(name))


def body(message: Message) -> str:
    """What stands below the headers: the README."""
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def values(message: Message, header: str) -> Sequence[str]:
    """All values of a header that may be there many times."""
    return [str(value) for value in message.get_all(header, [])]
