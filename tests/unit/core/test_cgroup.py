"""How often the kernel killed for memory: cgroup v1 and v2 as planted files."""

from __future__ import annotations

import pytest

from asyncq.core.cgroup import Lineage, lineages, oom_kills

V2 = {
    "/proc/self/cgroup": "0::/system.slice/asyncq.service\n",
    "/proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n",
}
V2_FOLDER = "/sys/fs/cgroup/system.slice/asyncq.service"
V1 = {
    "/proc/self/cgroup": "8:memory:/slice/box\n4:cpu,cpuacct:/\n0::/\n",
    "/proc/self/mountinfo": "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
}
V1_FOLDER = "/sys/fs/cgroup/memory/slice/box"
EVENTS = "low 0\nhigh 0\nmax 41\noom 5\noom_kill 3\noom_group_kill 1\n"


def test_a_lineage_goes_from_our_own_group_up_to_the_mount() -> None:
    expected = [Lineage(True, (V2_FOLDER, "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup"))]
    assert list(lineages("memory", V2.get)) == expected


def test_of_two_hierarchies_both_are_looked_at() -> None:
    memory = Lineage(False, (V1_FOLDER, "/sys/fs/cgroup/memory/slice", "/sys/fs/cgroup/memory"))
    assert list(lineages("memory", V1.get)) == [memory, Lineage(True, ("/sys/fs/cgroup/unified",))]


@pytest.mark.parametrize(
    ("expected", "files"),
    [
        (3, V2 | {f"{V2_FOLDER}/memory.events": EVENTS}),
        (0, V2 | {f"{V2_FOLDER}/memory.events": "oom 0\noom_kill 0\n"}),
        (2, V1 | {f"{V1_FOLDER}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"}),
        (None, V2 | {"/sys/fs/cgroup/system.slice/memory.events": EVENTS}),  # an ancestor counts strangers, too
        (None, V1 | {f"{V1_FOLDER}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n"}),  # before Linux 4.13
        (None, V2 | {f"{V2_FOLDER}/memory.events": "oom_kill many\n"}),
        (None, V2),
        (None, {"/proc/self/cgroup": "nonsense", "/proc/self/mountinfo": "too short"}),
        (None, {}),
    ],
)
def test_kills_are_those_of_our_own_group(expected: int | None, files: dict[str, str]) -> None:
    assert oom_kills(files.get) == expected


def test_a_container_sees_its_own_group_as_the_mount() -> None:
    files = {
        "/proc/self/cgroup": "8:memory:/docker/abc\n",
        "/proc/self/mountinfo": "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        "/sys/fs/cgroup/memory/memory.oom_control": "oom_kill 7\n",
    }
    assert oom_kills(files.get) == 7


def test_this_machine_says_a_number_or_nothing() -> None:
    count = oom_kills()
    assert count is None or count >= 0
