"""Targets for the supervisor's system tests: small children without Redis and, themselves, without asyncio.

Each is called with a ChildContext; `args` is a dict of switches. Run inside the process tree of `toy_supervisor`.
"""

import asyncio
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from asyncq.core.errors import AppImportError
from asyncq.supervisor.newborn import ChildContext
from tests.support.states import wait_until


class _Leave(Exception):
    """Raised by a signal handler: leave with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _leave_on(number: int, code: int) -> None:
    def handler(got: int, frame: object) -> None:
        raise _Leave(code)

    signal.signal(number, handler)


def _serve(ctx: ChildContext) -> None:
    """Beat until the arbiter is gone."""
    while True:
        ctx.page.beat()
        readable, _, _ = select.select([ctx.channel], [], [], 0.2)
        if readable and ctx.channel.receive() is None:
            continue


def worker(ctx: ChildContext) -> int:
    """A worker. TERM: exit 0; QUIT: exit 75. Switches: useful, ignore, incarnations, spawn_sleep, crash_after_s."""
    try:  # around all of it: a signal comes when it comes
        _leave_on(signal.SIGTERM, 0)
        _leave_on(signal.SIGQUIT, 75)
        _work(ctx, ctx.args or {})
    except _Leave as leave:
        return leave.code
    except EOFError:
        return 0
    return 0


def _work(ctx: ChildContext, args: dict[str, Any]) -> None:
    for name in args.get("ignore", ()):
        signal.signal(signal.Signals[name], signal.SIG_IGN)
    info = {}
    if args.get("incarnations"):
        ctx.page.set_incarnations([(f"host:{os.getpid()}:a", ["q1", "q2"]), (f"host:{os.getpid()}:b", ["q3"])])
    if args.get("spawn_sleep"):
        # With a session of its own it is out of reach of a kill of the worker's process group.
        own_session = args["spawn_sleep"] == "session"
        sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]  # sleeps: it only has to be there
        info["grandchild"] = subprocess.Popen(sleeper, start_new_session=own_session).pid
    if args.get("list_fds"):
        info["fds"] = sorted(_open_fds())
        info["pgid"], info["channel"] = os.getpgid(0), ctx.channel.fileno()
        info["box"] = ctx.box_fd
        info["dispositions"] = {
            name: str(signal.getsignal(signal.Signals[name])) for name in ("SIGHUP", "SIGINT", "SIGCHLD", "SIGTSTP")
        }
        info["blocked"] = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
    if args.get("useful"):  # before it is ready: who kills it then kills a useful one
        ctx.page.set_load(0, 1)
    info |= ctx.prepared or {}
    info["drawn"] = random.random()
    info["kinds"] = {name: os.readlink(f"/proc/self/fd/{fd}") for name, fd in info.get("held", {}).items()}
    ctx.channel.send({"type": "ready", "generation": ctx.generation, "ppid": os.getppid(), **info})
    if "crash_after_s" in args:
        time.sleep(args["crash_after_s"])  # sleeps: how long it lives is what the test is about
        raise RuntimeError("toy worker broke")
    _serve(ctx)


def preload(args: object) -> object:
    """What the zygote does before it forks: nothing that costs."""
    return {"preloaded_by": os.getpid()}


def preload_missing(args: object) -> object:
    """The app cannot be imported."""
    raise AppImportError("cannot import the app 'nowhere': No module named 'nowhere'")


def preload_unsafe(args: object) -> object:
    """The app makes what no fork survives: a thread, an event loop, a connection; and a file, which is harmless."""
    threading.Thread(target=threading.Event().wait, name="app-poller", daemon=True).start()
    listener = socket.create_server(("127.0.0.1", 0))
    file = open(__file__)  # noqa: SIM115 - stays open as the app's would
    loop = asyncio.new_event_loop()
    held = {"listener": listener.fileno(), "file": file.fileno(), "loop": loop._selector.fileno()}  # type: ignore[attr-defined]
    _KEPT.extend([listener, file, loop])
    return {"held": held, "port": listener.getsockname()[1]}


def preload_stuck_once(args: object) -> object:
    """The first worker's fork never gets out of a library's at-fork hook; the one before it is the zygote's trial."""
    zygote, forks = os.getpid(), [0]

    def count() -> None:
        forks[0] += 1

    def stick() -> None:
        if os.getppid() == zygote and forks[0] == 2:
            signal.pause()

    os.register_at_fork(before=count, after_in_child=stick)
    return {}


_KEPT: list[object] = []


def _open_fds() -> list[int]:
    found = []
    for fd in range(256):
        try:
            os.fstat(fd)
        except OSError:
            continue
        found.append(fd)
    return found


def keeper(ctx: ChildContext) -> int:
    """Writes every message it gets into `args["log"]`; confirms reaps, except in its lives up to `mute_lives`."""
    try:
        _leave_on(signal.SIGTERM, 0)
        ctx.channel.send({"type": "ready"})
        with open(ctx.args["log"], "a", buffering=1) as log:
            while True:
                select.select([ctx.channel], [], [], 1.0)
                while (message := ctx.channel.receive()) is not None:
                    log.write(json.dumps({"life": ctx.generation, **message}) + "\n")
                    if message["type"] == "reap" and ctx.generation > ctx.args.get("mute_lives", 0):
                        ctx.channel.send({"type": "reaped", "seq": message["seq"]})
    except (_Leave, EOFError):
        return 0


def never_ready(ctx: ChildContext) -> int:
    """Boots for ever, with the signals' default actions unless `ignore` says otherwise."""
    for name in (ctx.args or {}).get("ignore", ()):
        signal.signal(signal.Signals[name], signal.SIG_IGN)
    # One write: siblings share this pipe, and what `print` writes may come in two pieces.
    os.write(1, json.dumps({"event": "Booting", "pid": os.getpid()}).encode() + b"\n")
    while True:
        signal.pause()


def app_missing(ctx: ChildContext) -> int:
    """The app cannot be imported."""
    raise AppImportError("cannot import the app 'nowhere': No module named 'nowhere'")


def broken(ctx: ChildContext) -> int:
    """A programming error at boot."""
    raise RuntimeError(f"toy worker {ctx.index} is broken")


def app_missing_after_worker(ctx: ChildContext) -> int:
    """The same, but not before the test has made the file `args["go"]`."""
    wait_until(lambda: os.path.exists(ctx.args["go"]), what="the test lets it go")
    return app_missing(ctx)


def quitter(ctx: ChildContext) -> int:
    """Ends without a word and without an error, as os._exit in a handler does; `ready`: only once it was ready."""
    if ctx.args["ready"]:
        ctx.channel.send({"type": "ready"})
    os._exit(0)


def fallen_silent(ctx: ChildContext) -> int:
    """The first one says why it dies, the others die without a word."""
    if ctx.generation == 1:
        raise RuntimeError("an old story, long mended")
    os._exit(9)
