"""The tasks that the chaos tests run. Each writes down when it starts and how it ends, in a file that survives kill -9.

The app of the rig's fleets, imported in their workers only. One line is one write to a file opened for appending, so
lines of many processes never mix and nothing waits in a buffer.
"""

import asyncio
import ctypes
import os
import resource
import signal
import time
from dataclasses import dataclass
from typing import Any

from asyncq import task

_record = os.open(os.environ["CHAOS_RECORD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def write(kind: str, payload: dict[str, Any]) -> None:
    """S start, D done, F failed, C cancelled; then id, time, pid."""
    os.write(_record, f"{kind} {payload['n']} {time.time():.6f} {os.getpid()}\n".encode())


@task("work")
async def work(payload: dict[str, Any]) -> None:
    """Take as long as the payload says."""
    write("S", payload)
    try:
        await asyncio.sleep(payload["sleep"])  # sleeps: the payload says how long it takes
    except asyncio.CancelledError:
        write("C", payload)
        raise
    write("D", payload)


@task("nothing")
async def nothing(payload: dict[str, Any]) -> None:
    """As `work` without a record, to see what recording costs."""
    await asyncio.sleep(payload["sleep"])  # sleeps: the payload says how long it takes


@task("block")
async def block(payload: dict[str, Any]) -> None:
    """Hold the event loop up."""
    write("S", payload)
    time.sleep(payload["sleep"])  # noqa: ASYNC251  # sleeps: what this task is for
    write("D", payload)


@task("stubborn")
async def stubborn(payload: dict[str, Any]) -> None:
    """Ignore every cancellation."""
    write("S", payload)
    end = time.monotonic() + payload["sleep"]
    while (left := end - time.monotonic()) > 0:
        try:
            await asyncio.sleep(left)  # sleeps: the payload says how long it takes
        except asyncio.CancelledError:
            continue
    write("D", payload)


@task("flaky", max_attempts=5)
async def flaky(payload: dict[str, Any], attempt: Any) -> None:
    """Fail as often as the payload says, then succeed."""
    write("S", payload)
    await asyncio.sleep(payload["sleep"])  # sleeps: the payload says how long it takes
    if attempt.number <= payload["failures"]:
        write("F", payload)
        raise ValueError("as the payload says")
    write("D", payload)


@task("poison")
async def poison(payload: dict[str, Any]) -> None:
    """End the process that runs it, or keep its event loop for ever."""
    write("S", payload)
    await asyncio.sleep(payload["sleep"])  # sleeps: so that innocents start beside it
    match payload["how"]:
        case "exit":
            os._exit(7)
        case "segv":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "memory":
            _exhaust_memory()
        case "hang":
            while True:
                pass


def _exhaust_memory() -> None:
    """Take memory until the kernel ends the process; where no control group limits it, a limit of its own does.

    As a C library does it that does not check what malloc returns.
    """
    if group := os.environ.get("CHAOS_CGROUP"):
        with open(f"{group}/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))
    else:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    while True:
        libc.memset(libc.malloc(1 << 24), 1, 1 << 24)


@dataclass
class Numbered:
    """What the task `typed` takes."""

    n: int


@task("typed")
async def typed(payload: Numbered) -> None:
    """Its payload is checked before it runs."""
    write("S", {"n": payload.n})
    write("D", {"n": payload.n})
