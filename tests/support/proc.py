"""What procfs says of a tree of processes: who is below whom, what they weigh and hold. Linux."""

import os
import re
from pathlib import Path

_KIB = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


def descendants(pid: int) -> list[int]:
    """Pids of all children and theirs; zombies are among them."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in tasks.read_text().split()]
        except OSError:  # the thread has ended
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def private_mib(pid: int) -> float:
    """Memory that this process shares with nobody."""
    kib = dict(_KIB.findall(Path(f"/proc/{pid}/smaps_rollup").read_text()))
    return (int(kib["Private_Clean"]) + int(kib["Private_Dirty"])) / 1024


def descriptors(pid: int) -> list[str]:
    """What its descriptors lead to."""
    folder = f"/proc/{pid}/fd"
    return sorted(os.readlink(f"{folder}/{name}") for name in os.listdir(folder))


def parent(pid: int) -> int:
    """The pid of its parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
