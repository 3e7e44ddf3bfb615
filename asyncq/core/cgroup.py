"""Where the kernel keeps the accounts of our control groups, v1 and v2, and how often it killed in ours for memory.

Asked by `cpus` for the CPU quota, and by the roof, which hands `oom_kills` to the supervisor. Files come through a
`read` function, so that a test can describe any machine. Never raises because a machine describes itself oddly: what
cannot be read is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

Read = Callable[[str], str | None]

_OOM_KILL: Final = "oom_kill"


@dataclass(frozen=True, slots=True)
class Lineage:
    """Our own control group of one hierarchy and its ancestors, as far as they are mounted here.

    Attributes:
        v2: Whether it is the unified hierarchy, whose files have other names.
        folders: Ours first, the mount last; at least one.
    """

    v2: bool
    folders: tuple[str, ...]


def read_file(path: str) -> str | None:
    """Text of a file of /proc or /sys; None if there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None


def lineages(controller: str, read: Read) -> Iterator[Lineage]:
    """For each mount that may hold files of this controller, such as `cpu` or `memory`."""
    ours = dict(_our_cgroups(controller, read))
    for mounted_at, root, v2 in _mounts(controller, read):
        path = ours.get(v2)
        if path is not None:
            inside = _below(path, root)
            steps = (inside, *inside.parents)
            yield Lineage(v2, tuple(f"{mounted_at}/{step}".removesuffix("/.") for step in steps))


def oom_kills(read: Read = read_file) -> int | None:
    """How many processes of our own control group the kernel has killed for memory; None if it does not say.

    A kill is counted where the victim lived, whoever's limit was reached: ours, an ancestor's or the machine's. So our
    own group is the one to ask; v2 adds the groups below it, where a child may have been moved. Ancestors also count
    what happens to strangers. Counts since the group was made: compare two readings.

    Cost: three or four small files of the kernel.
    """
    for lineage in lineages("memory", read):
        name = "memory.events" if lineage.v2 else "memory.oom_control"
        count = _field(read(f"{lineage.folders[0]}/{name}") or "", _OOM_KILL)
        if count is not None:
            return count
    return None


def _field(text: str, wanted: str) -> int | None:
    """A number of a file that has lines of a name and a number."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == wanted and value.strip().isdigit():
            return int(value)
    return None


def _our_cgroups(controller: str, read: Read) -> Iterator[tuple[bool, str]]:
    for line in (read("/proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield True, path
        elif controller in controllers.split(","):
            yield False, path


def _mounts(controller: str, read: Read) -> Iterator[tuple[str, str, bool]]:
    """(mount point, what of the hierarchy is mounted there, is it cgroup v2)."""
    for line in (read("/proc/self/mountinfo") or "").splitlines():
        left, _, right = line.partition(" - ")
        before, after = left.split(), right.split()
        if len(before) < 5 or len(after) < 3:
            continue
        if after[0] == "cgroup2" or (after[0] == "cgroup" and controller in after[2].split(",")):
            yield before[4], before[3], after[0] == "cgroup2"


def _below(path: str, root: str) -> PurePosixPath:
    """Our cgroup relative to what is mounted; the mount itself when it lies outside (a container's view)."""
    try:
        return PurePosixPath(path).relative_to(root)
    except ValueError:
        return PurePosixPath(".")
