"""What procfs says of one process: whether it runs, whose child it is, what it holds and has not heard. Linux."""

import os
import re
from pathlib import Path


def state_of(pid: int) -> str:
    """The letter of its state: R runs, S waits, T stands still, Z ended; "" if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """There is such a process, and it is not a zombie."""
    return state_of(pid) not in ("Z", "X", "")


def is_pending(pid: int, number: int) -> bool:
    """Whether a signal has not reached the process yet: those of one kind that are pending together arrive once.

    What has ended hears nothing any more.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has gone, or there is no procfs
        return False
    if re.search(r"^State:\s*[ZX]", status, re.MULTILINE):
        return False
    masks = re.findall(r"^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$", status, re.MULTILINE)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


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


def descriptors(pid: int) -> list[str]:
    """What its descriptors lead to."""
    folder = f"/proc/{pid}/fd"
    return sorted(os.readlink(f"{folder}/{name}") for name in os.listdir(folder))


def parent(pid: int) -> int:
    """The pid of its parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
