"""What procfs says of a tree of processes: who is below whom, what they weigh and hold. Linux."""

import os
import re
from pathlib import Path

_KIB = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


def descendants(pid: int) -> list[int]:
    """Pids of all children and theirs; zombies are among them."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has ended
        return []
    found = []
    for thread in threads:
        try:
            children = Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in map(int, children):
            found += [child, *descendants(child)]
    return found


def at_home_in(folder: Path) -> list[int]:
    """Pids of all living processes whose current folder that is, whoever their parent is."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "cwd") == str(folder):  # a zombie has none
                found.append(int(path.name))
        except OSError:  # it has ended, or is not ours
            continue
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
