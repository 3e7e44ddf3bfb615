"""How many CPUs may be used: cgroup v1, v2, ancestors, containers, machines without any."""

from __future__ import annotations

import pytest

from asyncq.core.cpus import usable_cpus

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1_MOUNT = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"


def usable(files: dict[str, str], cpus: int = 8, affinity: int = 8) -> tuple[int, str]:
    return usable_cpus(cpus=cpus, affinity=affinity, read=files.get)


def test_quota_is_rounded_up_and_the_reasoning_is_said():
    files = {
        "/proc/self/cgroup": "0::/pod/box\n",
        "/proc/self/mountinfo": V2_MOUNT,
        "/sys/fs/cgroup/pod/box/cpu.max": "250000 100000\n",
    }
    assert usable(files) == (3, "8 CPUs, affinity 8, quota 2.5 -> 3")


def test_smallest_quota_of_the_ancestors_counts():
    files = {
        "/proc/self/cgroup": "0::/pod/box\n",
        "/proc/self/mountinfo": V2_MOUNT,
        "/sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
        "/sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
        "/sys/fs/cgroup/cpu.max": "400000 100000\n",
    }
    assert usable(files)[0] == 2


def test_cgroup_v1_counts_and_minus_one_means_no_quota():
    files = {
        "/proc/self/cgroup": "4:cpu,cpuacct:/slice\n3:cpuset:/\n0::/\n",
        "/proc/self/mountinfo": V1_MOUNT,
        "/sys/fs/cgroup/cpu,cpuacct/slice/cpu.cfs_quota_us": "100000\n",
        "/sys/fs/cgroup/cpu,cpuacct/slice/cpu.cfs_period_us": "50000\n",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "50000\n",
    }
    assert usable(files) == (2, "8 CPUs, affinity 8, quota 2 -> 2")


def test_container_that_sees_only_its_own_part_of_the_tree():
    files = {
        "/proc/self/cgroup": "4:cpu:/docker/abc\n",
        "/proc/self/mountinfo": V1_MOUNT.replace("0:29 / ", "0:29 /docker/abc ").replace("cpu,cpuacct", "cpu"),
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    assert usable(files) == (1, "8 CPUs, affinity 8, quota 0.5 -> 1")


def test_container_whose_path_is_the_hosts_uses_the_mount_itself():
    files = {
        "/proc/self/cgroup": "0::/../other\n",
        "/proc/self/mountinfo": V2_MOUNT.replace("0:26 / ", "0:26 /elsewhere "),
        "/sys/fs/cgroup/cpu.max": "200000 100000\n",
    }
    assert usable(files)[0] == 2


def test_affinity_limits_when_it_is_less_than_the_quota():
    files = {
        "/proc/self/cgroup": "0::/\n",
        "/proc/self/mountinfo": V2_MOUNT,
        "/sys/fs/cgroup/cpu.max": "600000 100000",
    }
    assert usable(files, affinity=2) == (2, "8 CPUs, affinity 2, quota 6 -> 2")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"/proc/self/cgroup": "nonsense", "/proc/self/mountinfo": "too short"},
        {"/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": V2_MOUNT, "/sys/fs/cgroup/cpu.max": "one two three"},
        {"/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": V2_MOUNT, "/sys/fs/cgroup/cpu.max": "0 0"},
    ],
)
def test_nothing_readable_means_no_quota(files):
    assert usable(files, cpus=1, affinity=1) == (1, "1 CPU, affinity 1, no quota -> 1")


def test_this_machine_has_at_least_one_usable_cpu():
    count, reasoning = usable_cpus()
    assert count >= 1
    assert reasoning.endswith(f"-> {count}")
