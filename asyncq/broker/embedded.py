"""A real Redis server of our own for a folder: found when it runs, started when it does not.

Called by the roof when no URL is set and nothing answers on localhost, and by tests. The server dies with the
process that started it. Nothing is printed here, no client library is used, and nothing is registered to run at
exit: a forked child would run it too.

One server per data folder: it inherits a file lock and so holds it exactly as long as it lives. Whoever comes
second finds the first; whoever follows a killed one waits until that has written its data and gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NoReturn, Self

from asyncq.broker.embedded_binary import find_binary
from asyncq.broker.embedded_plan import (
    PING_TIMEOUT_S,
    EmbeddedPlan,
    find_running,
    plan,
    prepare,
    record,
    running_socket,
)
from asyncq.broker.ping import ping
from asyncq.core.clock import mono_s
from asyncq.core.errors import BrokerUnavailableError, ConfigurationError

__all__ = [
    "EmbeddedPlan",
    "EmbeddedServer",
    "clear_away",
    "exec_server",
    "find_running",
    "plan",
    "start",
    "start_ephemeral",
    "wait_ready",
]

_START_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.01
_PR_SET_PDEATHSIG: Final = 1

# Runs in a fresh process between ours and the server: ties it to us, then becomes it. Not a preexec_fn, which would
# run Python in a copy of a process that may have threads. What it asks the kernel for: see _die_with_parent.
_LAUNCHER: Final = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def exec_server(plan: EmbeddedPlan) -> NoReturn:
    """Become the server: the current process is replaced, its parent's end will be its own.

    For a child of the supervisor, which must be single-threaded. While another server holds the folder this waits.

    Raises:
        ConfigurationError: the data or socket folder cannot be used.
        OSError: the binary cannot be run.
    """
    _die_with_parent(os.getppid())
    lock = _open_lock(plan)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock, True)
    command = prepare(plan)
    record(plan, os.getpid(), os.getppid())
    with contextlib.suppress(PermissionError):  # leads a group already: out of reach of Ctrl-C, all that matters
        os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    with _open_log(plan) as log, open(os.devnull, "rb") as nothing:
        for source, target in ((nothing.fileno(), 0), (log.fileno(), 1), (log.fileno(), 2)):
            os.dup2(source, target)
        os.execv(command[0], command)


def start(plan: EmbeddedPlan) -> EmbeddedServer:
    """Start the server as a subprocess and wait until it answers; a running one is only referred to.

    Call it from the main thread: on Linux the server follows the thread that started it.

    Raises:
        ConfigurationError: the data or socket folder cannot be used.
        BrokerUnavailableError: it did not come up; the sentence holds its last words.

    Cost: PINGs until it answers.
    """
    if plan.running:
        return EmbeddedServer(plan, None)
    lock = _lock_unless_running(plan)
    if lock is None:
        return EmbeddedServer(plan, None)
    try:
        process = _spawn(plan, lock)
    finally:
        os.close(lock)  # the server keeps its copy
    server = EmbeddedServer(plan, process)
    try:
        ready = wait_ready(plan, _START_TIMEOUT_S, lambda: process.poll() is None)
    except BaseException:  # Ctrl-C while waiting: nobody would stop it
        server.stop()
        raise
    if ready:
        return server
    server.stop()
    raise BrokerUnavailableError(
        f"the embedded server did not start (code {process.poll()}): {_last_words(plan)}; see {plan.log}"
    )


def start_ephemeral(configured: str | None = None) -> EmbeddedServer:
    """Start a throw-away server without persistence in a folder that `stop` removes. For tests."""
    folder = Path(tempfile.mkdtemp(prefix="asyncq-"))
    try:
        return start(
            EmbeddedPlan(
                data=folder,
                socket=str(folder / "redis.sock"),
                running=False,
                binary=find_binary(configured),
                persistent=False,
            )
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def clear_away(plan: EmbeddedPlan) -> None:
    """Remove the folder of the socket after the server's end; data stays. Nothing while another server uses it.

    For `EmbeddedServer.stop`, and for the parent of whoever became the server.
    """
    with contextlib.suppress(OSError, ConfigurationError):
        lock = _open_lock(plan)  # whoever starts a server here makes the folder under this lock
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(plan.socket)  # of a server that was killed
            os.rmdir(os.path.dirname(plan.socket))
        finally:
            os.close(lock)


def wait_ready(plan: EmbeddedPlan, timeout_s: float, alive: Callable[[], bool] = lambda: True) -> bool:
    """Wait until the server answers; False when the time is over or `alive` says no. Cost: 1 PING per 10 ms."""
    deadline_mono = mono_s() + timeout_s
    while mono_s() < deadline_mono and alive():
        if ping(plan.socket, PING_TIMEOUT_S).startswith("+PONG"):
            return True
        time.sleep(_POLL_S)
    return False


class EmbeddedServer:
    """A server that runs, and the right to stop it if this very process started it.

    Attributes:
        plan: Where it runs.
        pid: Its process id; None if somebody else started it.
    """

    def __init__(self, plan: EmbeddedPlan, process: subprocess.Popen[bytes] | None) -> None:
        self.plan = plan
        self.pid = process.pid if process else None
        self._process = process
        self._owner_pid = os.getpid()

    @property
    def url(self) -> str:
        return self.plan.url

    def stop(self) -> None:
        """Ask it to write its data and go; kill it after 10 s. Nothing if another process started it."""
        if self._process is None or os.getpid() != self._owner_pid:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        if self.plan.persistent:
            clear_away(self.plan)
        else:
            shutil.rmtree(self.plan.data, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGTERM when the parent ends; end now if it already has. Linux; elsewhere nothing.

    SIGTERM and not SIGKILL: it makes the server sync its append-only file and remove its socket. Where the kernel
    refuses, the server outlives a killed parent and the next command in the folder finds and uses it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)


def _spawn(plan: EmbeddedPlan, lock: int) -> subprocess.Popen[bytes]:
    command = prepare(plan)
    with _open_log(plan) as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,
        )
    record(plan, process.pid, os.getpid())
    return process


def _lock_unless_running(plan: EmbeddedPlan) -> int | None:
    """The folder's lock; None when a server of somebody else answers meanwhile."""
    lock, deadline_mono = _open_lock(plan), mono_s() + _START_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            pass
        if running_socket(plan.data) is not None:
            os.close(lock)
            return None
        if mono_s() > deadline_mono:
            os.close(lock)
            raise BrokerUnavailableError(
                f"another process holds {plan.data} but no server answers there; end it or set ASYNCQ_REDIS_URL"
            )
        time.sleep(_POLL_S)


def _open_lock(plan: EmbeddedPlan) -> int:
    try:
        plan.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(plan.data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"embedded Redis: expected to write {plan.data}, found: {error.strerror}; "
            "run the command in a folder of yours or set ASYNCQ_REDIS_URL"
        ) from None


def _open_log(plan: EmbeddedPlan) -> BinaryIO:
    return open(plan.log, "ab")


def _last_words(plan: EmbeddedPlan) -> str:
    try:
        lines = plan.log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1].strip() if lines else "it said nothing"
