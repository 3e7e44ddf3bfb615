"""Another machine, as far as one machine can play it: a host name, a network, process numbers, memory of its own.

Needs root on Linux. Used by the cases in which a host is lost or its memory is.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.verdict import NotRun
from tests.support.namespaces import PID_1
from tests.support.states import wait_until

HOST_NAME = "another-host"


def addresses(number: int) -> tuple[str, str]:
    """Both ends of a cable, other ones for each number; of the benchmarking range of RFC 2544, which nobody uses."""
    first = number % 16_384 * 4
    return tuple(f"198.18.{(first + host) // 256}.{(first + host) % 256}" for host in (1, 2))  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Cable:
    """A network namespace with one cable to ours; `near` is our address on it.

    Attributes:
        wrapper: Put before a command, it runs on the other host.
    """

    name: str
    near: str
    wrapper: tuple[str, ...]

    def cut(self) -> None:
        """No packet passes any more, and nobody is told."""
        _run("ip", "link", "set", f"{self.name}0", "down")


def named(command: Sequence[str] = ()) -> tuple[str, ...]:
    """Runs a command under another host name; process numbers are still ours."""
    return (*command, "unshare", "--uts", "sh", "-c", f'hostname {HOST_NAME} && exec "$@"', "sh")


def apart() -> tuple[str, ...]:
    """Runs a command as process 1 under another host name: its number says nothing here. Dies with its wrapper."""
    wrapper = named(PID_1)
    _try(*wrapper, "true")
    return wrapper


@contextmanager
def cable(name: str) -> Iterator[Cable]:
    """Make the namespace and take it away again.

    Raises:
        NotRun: this system or this user cannot.
    """
    near, far = addresses(os.getpid())
    _try("unshare", "--net", "--uts", "true")
    _try("ip", "netns", "add", name)
    try:
        _try("ip", "link", "add", f"{name}0", "type", "veth", "peer", "name", f"{name}1", "netns", name)
        _run("ip", "addr", "add", f"{near}/30", "dev", f"{name}0")
        _run("ip", "link", "set", f"{name}0", "up")
        inside = ("ip", "netns", "exec", name)
        _run(*inside, "ip", "addr", "add", f"{far}/30", "dev", f"{name}1")
        _run(*inside, "ip", "link", "set", f"{name}1", "up")
        yield Cable(name, near, named(inside))
    finally:
        _run("ip", "netns", "del", name)


@contextmanager
def memory_limit(name: str, limit_bytes: int) -> Iterator[str]:
    """A control group that ends the process which takes more memory; its folder, "" where we cannot make one."""
    new = Path("/sys/fs/cgroup")
    old = new / "memory"
    folder, limit = (old / name, "memory.limit_in_bytes") if old.is_dir() else (new / name, "memory.max")
    try:
        folder.mkdir()
        (folder / limit).write_text(str(limit_bytes))
    except OSError:
        yield ""
        return
    try:
        yield str(folder)
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text().strip(), 10, "nobody is left in the group")
        folder.rmdir()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _try(*command: str) -> None:
    try:
        _run(*command)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        reason = said.decode(errors="replace").strip()
        raise NotRun(f"needs root and namespaces: {' '.join(command)}: {reason}") from None
