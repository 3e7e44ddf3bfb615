"""A program: import modules in a fresh interpreter and print as JSON what they did beyond being imported.

    python -P at_import.py FOLDER PACKAGE MODULE ...

Each module of PACKAGE (which lies in FOLDER) is imported. An effect is refused as it happens, so that the planted ones
of test_at_import.py harm nobody, and printed as [module that was imported, effect, place in PACKAGE]. What another
package does when it is imported is its own affair, unless it makes a process, a thread or a connection, or
changes what belongs to the process; finding and reading the files of modules is no effect.
"""

from __future__ import annotations

import _thread
import asyncio
import atexit
import faulthandler
import importlib
import io
import json
import logging
import logging.config
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

import uvloop

FOLDER, PACKAGE, *MODULES = sys.argv[1:]
OURS = os.path.join(FOLDER, PACKAGE) + os.sep

# Audit events: the beginnings of those that count when our own code causes them ...
OWN = (
    "open", "os.", "socket.", "shutil.", "tempfile.", "glob.", "pathlib.", "mmap.", "fcntl.", "resource.", "signal.",
    "syslog.", "ctypes.dlopen", "urllib.", "http.", "sqlite3.", "webbrowser.", "sys.addaudithook", "sys.setprofile",
    "sys.settrace", "subprocess.", "pty.", "_thread.", "gc.",
)  # fmt: skip
# ... and those that count whoever causes them.
ANYBODYS = (
    "subprocess.", "os.fork", "os.posix_spawn", "os.spawn", "os.exec", "os.system", "os.startfile", "pty.",
    "os.putenv", "os.unsetenv", "os.chdir", "os.kill", "_thread.start", "socket.connect", "socket.bind",
    "socket.getaddrinfo",
)  # fmt: skip

effects: list[tuple[str, str, str]] = []
importing = ""  # the module whose turn it is; nothing is judged before and after


class Refused(BaseException):
    """Ends the import of the module that had an effect. No Exception, so that nobody catches it by the way."""


def place_of(anybodys: bool) -> str:
    """`file:line` of the code of ours that this effect goes back to; "" if it does not.

    From the effect outwards: an import on the way means that another package is being imported.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(OURS):
            return f"{PACKAGE}/{name.removeprefix(OURS)}:{frame.f_lineno}"
        if name.startswith("<frozen importlib") and not anybodys:
            return ""
        frame = frame.f_back
    return ""


def refuse(effect: str, anybodys: bool) -> None:
    global importing
    module, importing = importing, ""  # finding the place must not be judged
    place = place_of(anybodys)
    importing = module
    if place:
        effects.append((importing, effect, place))
        raise Refused(effect)


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    if importing and event.startswith(OWN):
        refuse(event, event.startswith(ANYBODYS))


def watch(owner: Any, name: str, effect: str, anybodys: bool = False) -> None:
    """Judge a function that raises no audit event."""
    original = getattr(owner, name)

    def watched(*arguments: Any, **named: Any) -> Any:
        if importing:
            refuse(effect, anybodys)
        return original(*arguments, **named)

    setattr(owner, name, watched)


class Terminal(io.StringIO):
    """Stands for both streams while modules are imported: who writes to them has an effect."""

    def write(self, text: str) -> int:
        if importing:
            refuse("output", anybodys=False)
        return super().write(text)

    def fileno(self) -> int:
        return 2


def watch_all() -> None:
    for name in ("__getitem__", "__iter__", "__len__", "__setitem__", "__delitem__"):
        watch(type(os.environ), name, "environment")
    for name in ("signal", "set_wakeup_fd", "setitimer", "alarm", "pthread_sigmask", "siginterrupt"):
        watch(signal, name, "signal handling")
    for name in ("basicConfig", "disable", "captureWarnings", "setLoggerClass", "addLevelName", "setLogRecordFactory"):
        watch(logging, name, "logging configuration")
    for name in ("dictConfig", "fileConfig"):
        watch(logging.config, name, "logging configuration")
    for name in ("addHandler", "removeHandler", "addFilter", "setLevel"):
        watch(logging.Logger, name, "logging configuration")
    for name in ("set_event_loop", "set_event_loop_policy", "get_event_loop"):
        watch(asyncio, name, "event loop")
    watch(asyncio.BaseEventLoop, "__init__", "event loop")
    watch(uvloop.Loop, "__init__", "event loop")
    watch(threading.Thread, "start", "thread", anybodys=True)
    watch(_thread, "start_new_thread", "thread", anybodys=True)
    watch(atexit, "register", "exit handler")


def state() -> dict[str, Any]:
    """What belongs to the whole process: whoever changes it at import, it is an effect."""
    ours = [logger for name, logger in logging.root.manager.loggerDict.items() if name.partition(".")[0] == PACKAGE]
    loggers = [logging.root, *(logger for logger in ours if isinstance(logger, logging.Logger))]
    return {
        "threads": threading.active_count(),
        "environment": dict(os.environ),
        "current folder": os.getcwd(),
        "sys.path": list(sys.path),
        "signal handling": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "logging configuration": [
            [logger.name, logger.level, list(logger.handlers), list(logger.filters)]
            for logger in loggers
            if logger is logging.root or logger.level or logger.handlers or logger.filters or not logger.propagate
        ],
        "hooks": [sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook],
        "faulthandler": faulthandler.is_enabled(),
        "open files": sorted(os.listdir("/dev/fd")),
    }


def difference(before: Any, now: Any) -> str:
    """Of the environment and of signals only which ones: values may be secrets."""
    if isinstance(now, dict):
        return ", ".join(sorted(str(key) for key in before.keys() | now if before.get(key) != now.get(key)))
    return f"{before} -> {now}"


def import_one(name: str) -> None:
    """Import it and compare the process before and after."""
    global importing
    known, before = len(effects), state()
    importing = name
    try:
        importlib.import_module(name)
    except Refused:
        pass
    except BaseException as error:  # also SystemExit: a module that ends the interpreter
        if len(effects) == known:
            effects.append((name, f"cannot be imported: {error!r}", name))
    importing = ""
    for what, now in state().items():
        if now != before[what] and len(effects) == known:
            effects.append((name, f"{what} changed: {difference(before[what], now)}", name))


def main() -> None:
    sys.path.insert(0, FOLDER)
    sys.addaudithook(audit)
    watch_all()
    sys.stdout = sys.stderr = Terminal()
    for name in MODULES:
        import_one(name)
    json.dump(effects, sys.__stdout__)  # type: ignore[arg-type]


main()
