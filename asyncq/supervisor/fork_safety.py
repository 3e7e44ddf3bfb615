"""What makes a fork of this process unsafe: threads, event loops, connections and pipes, each by name.

Asked by the zygote once the app is imported. Only looks; a library that stops its threads around every fork (OpenBLAS)
has done so in the trial fork before, and is not named.
"""

from __future__ import annotations

import gc
import os
import socket
import stat
import sys
from collections.abc import Collection, Iterable
from typing import Any, Final

from asyncq.supervisor.descriptors import descriptors, is_file

REMEDY: Final = (
    "make it in an on_worker_start hook, which runs in each worker after the fork, or give --no-preload; "
    "workers cannot use what was made before"
)
_EPOLL: Final = "anon_inode:[eventpoll]"


def unsafe_things(ours: Collection[int]) -> list[str]:
    """Everything found, in words.

    Args:
        ours: Descriptors that are meant to be here.
    """
    strangers = {fd: _named(fd) for fd in descriptors() if fd > 2 and fd not in ours}
    sockets = {fd for fd in strangers if _is_socket(fd)}
    loops = [fd for fd, name in strangers.items() if name == _EPOLL]
    rest = {fd: name for fd, name in strangers.items() if fd not in sockets and name != _EPOLL}
    others = [f"{name or 'something'} (descriptor {fd})" for fd, name in rest.items() if _is_shared(fd)]
    return [*_threads(), *(_event_loops() if loops else []), *(_sockets(sockets) if sockets else []), *others]


def _threads() -> list[str]:
    """Python's threads by name; of those that are none of Python's only how many."""
    module: Any = sys.modules.get("threading")  # absent: then nobody has made one
    found = [] if module is None else [each for each in module.enumerate() if each is not module.main_thread()]
    words = [f"thread {each.name!r}{_running(each)}" for each in found]
    try:
        native = len(os.listdir("/proc/self/task")) - 1 - len(found)
    except OSError:
        native = 0
    return words + ([f"{native} thread(s) of a native library"] if native > 0 else [])


def _running(thread: Any) -> str:
    """What a thread was started with, as far as it can be seen."""
    target = getattr(thread, "_target", None)
    name = getattr(target, "__qualname__", "") or type(thread).__name__
    module = getattr(target, "__module__", None) or type(thread).__module__
    return f" ({module}.{name})"


def _event_loops() -> list[str]:
    module: Any = sys.modules.get("asyncio")
    if module is None:
        return ["an epoll descriptor that no event loop of asyncio holds"]
    found = [each for each in _objects(module.AbstractEventLoop) if not each.is_closed()]
    words = [f"event loop {type(each).__module__}.{type(each).__qualname__}" for each in found]
    return words or ["an epoll descriptor that no event loop of asyncio holds"]


def _sockets(fds: set[int]) -> list[str]:
    held = {each.fileno(): each for each in _objects(socket.socket) if each.fileno() in fds}
    return [
        f"socket {_ends(held[fd])}" if fd in held else f"socket of a native library (descriptor {fd})"
        for fd in sorted(fds)
    ]


def _ends(end: socket.socket) -> str:
    """Where it leads."""
    for verb, ask in (("to", end.getpeername), ("at", end.getsockname)):
        try:
            where = ask()
        except OSError:
            continue
        if where and where != ("0.0.0.0", 0):
            return f"{verb} {':'.join(map(str, where[:2])) if isinstance(where, tuple) else where}"
    return "without a name"


def _objects(kind: type) -> Iterable[Any]:
    """Living objects of a class. Looks at every object there is: only when something was found."""
    for each in gc.get_objects():
        try:
            if isinstance(each, kind):
                yield each
        except ReferenceError:  # a proxy whose object is gone
            continue


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def _is_shared(fd: int) -> bool:
    """A pipe or the like: `cut_loose` takes it away from the children."""
    try:
        return not is_file(fd)
    except OSError:
        return False


def _named(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
