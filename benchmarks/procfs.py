"""What procfs says of a tree of processes: who is below whom, what they weigh and hold. Linux."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

_KIB: Final = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


def descendants(pid: int) -> list[int]:
    """Pids of all children and theirs; zombies are among them."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has ended
        return []
    found: list[int] = []
    for thread in threads:
        try:
            children = Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in map(int, children):
            found += [child, *descendants(child)]
    return found


def memory(pid: int) -> dict[str, Any]:
    """MiB: resident, private to this process, and its share of everything."""
    kib = _kib(f"/proc/{pid}/smaps_rollup")
    private = kib["Private_Clean"] + kib["Private_Dirty"]
    return {"resident_mib": kib["Rss"] / 1024, "private_mib": private / 1024, "share_mib": kib["Pss"] / 1024}


def holdings(pid: int) -> dict[str, Any]:
    """What must not grow: descriptors, KiB of memory of its own and shared, bytes in unnamed files."""
    folder = f"/proc/{pid}/fd"
    kib = _kib(f"/proc/{pid}/status")
    unnamed, count = 0, 0
    for name in os.listdir(folder):
        try:
            target, size = os.readlink(f"{folder}/{name}"), os.stat(f"{folder}/{name}").st_blocks * 512
        except OSError:  # closed meanwhile
            continue
        count += 1
        unnamed += size if target.startswith("/memfd:") else 0
    own = _kib(f"/proc/{pid}/smaps_rollup")["Anonymous"]  # counted; what `status` says may be a batch behind
    return {"descriptors": count, "own_kib": own, "shared_kib": kib["RssShmem"], "unnamed_kib": unnamed // 1024}


def _kib(path: str) -> dict[str, int]:
    return {key: int(value) for key, value in _KIB.findall(Path(path).read_text())}
