"""How many CPUs this process may really use: affinity and the CPU quota of its cgroup and their ancestors.

Called by the roof for `--procs auto`. The arithmetic is pure: files come through a `read` function, so that
a test can describe any machine. Never raises because a machine describes itself oddly: what cannot be read is
no limit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

Read = Callable[[str], str | None]


def _read_file(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None


def usable_cpus(*, cpus: int | None = None, affinity: int | None = None, read: Read = _read_file) -> tuple[int, str]:
    """The number of processes that can run at once, and the reasoning in words.

    Args:
        cpus: CPUs of the machine; default: asked now.
        affinity: CPUs this process may be scheduled on; default: asked now.
        read: Text of a file of /proc or /sys, None if there is none.

    Returns:
        For example (3, "8 CPUs, affinity 8, quota 2.5 -> 3"); at least 1.
    """
    total = cpus or os.cpu_count() or 1
    allowed = affinity or _affinity(total)
    limit = quota(read)
    count = allowed if limit is None else max(1, min(allowed, math.ceil(limit)))
    said = "no quota" if limit is None else f"quota {limit:g}"
    return count, f"{total} CPU{'s' * (total != 1)}, affinity {allowed}, {said} -> {count}"


def _affinity(total: int) -> int:
    asked = getattr(os, "sched_getaffinity", None)  # absent on macOS
    return len(asked(0)) if asked else total


def quota(read: Read) -> float | None:
    """The smallest CPU quota among our cgroups and their ancestors, in CPUs; None if there is none."""
    limits = [limit for folder, v2 in _folders(read) if (limit := _limit(folder, v2, read)) is not None]
    return min(limits, default=None)


def _limit(folder: str, v2: bool, read: Read) -> float | None:
    """Quota divided by period of one cgroup folder."""
    if v2:
        parts = (read(f"{folder}/cpu.max") or "").split()
    else:
        parts = [(read(f"{folder}/cpu.cfs_{what}_us") or "").strip() for what in ("quota", "period")]
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        return None  # "max", -1, or not there
    return int(parts[0]) / int(parts[1])


def _folders(read: Read) -> Iterator[tuple[str, bool]]:
    """Every folder, from our own cgroup up to the mount, that may hold a quota: (folder, is it cgroup v2)."""
    ours = dict(_our_cgroups(read))
    for mounted_at, root, v2 in _mounts(read):
        path = ours.get(v2)
        if path is None:
            continue
        inside = _below(path, root)
        for step in (inside, *inside.parents):
            yield f"{mounted_at}/{step}".removesuffix("/."), v2


def _our_cgroups(read: Read) -> Iterator[tuple[bool, str]]:
    for line in (read("/proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield True, path
        elif "cpu" in controllers.split(","):
            yield False, path


def _mounts(read: Read) -> Iterator[tuple[str, str, bool]]:
    """(mount point, what of the hierarchy is mounted there, is it cgroup v2)."""
    for line in (read("/proc/self/mountinfo") or "").splitlines():
        left, _, right = line.partition(" - ")
        before, after = left.split(), right.split()
        if len(before) < 5 or len(after) < 3:
            continue
        if after[0] == "cgroup2" or (after[0] == "cgroup" and "cpu" in after[2].split(",")):
            yield before[4], before[3], after[0] == "cgroup2"


def _below(path: str, root: str) -> PurePosixPath:
    """Our cgroup relative to what is mounted; the mount itself when it lies outside (a container's view)."""
    try:
        return PurePosixPath(path).relative_to(root)
    except ValueError:
        return PurePosixPath(".")
