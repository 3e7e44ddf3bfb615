"""How many CPUs this process may really use: affinity and the CPU quota of its cgroup and their ancestors.

Called by the roof for `--procs auto`. The arithmetic is pure: files come through a `read` function, so that
a test can describe any machine. Never raises because a machine describes itself oddly: what cannot be read is
no limit.
"""

from __future__ import annotations

import math
import os

from asyncq.core.cgroup import Read, lineages, read_file


def usable_cpus(*, cpus: int | None = None, affinity: int | None = None, read: Read = read_file) -> tuple[int, str]:
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
    limits = [
        limit
        for lineage in lineages("cpu", read)
        for folder in lineage.folders
        if (limit := _limit(folder, lineage.v2, read)) is not None
    ]
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
