"""What a new process does between its fork and its target, and how its end becomes an exit code.

Called by `spawn` in the process that was just forked, whoever forked it. Nothing of the parent stays usable: signal
handlers, descriptors and random state are replaced before the first line of the target runs.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pkgutil
import random
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from asyncq.core.errors import EXIT_CRASH_LOOP, EXIT_INTERNAL, EXIT_OK, AsyncqError
from asyncq.supervisor.channel import Channel, readable
from asyncq.supervisor.descriptors import close_all_but, cut_loose
from asyncq.supervisor.page import SlotPage
from asyncq.supervisor.prctl import die_with_parent
from asyncq.supervisor.signals import reset_in_child
from asyncq.supervisor.spec import ChildSpec

_log = logging.getLogger("asyncq.supervisor")

ADOPTION_S: Final = 5.0
_GO_S: Final = 10.0
_LOOK_S: Final = 0.0002


@dataclass(frozen=True, slots=True)
class Order:
    """One child to be made.

    Attributes:
        spec, index, generation, page: As in ChildContext.
        box_fd: Its black box, or -1.
        captured_fd: What takes its standard error while it is on probation, or -1.
        quiet: The whole tree takes no messages at present.
        crash: How its predecessor died, when somebody may want to hear of it.
    """

    spec: ChildSpec
    index: int
    generation: int
    page: SlotPage
    box_fd: int = -1
    captured_fd: int = -1
    quiet: bool = False
    crash: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildContext:
    """What a target is called with.

    Attributes:
        index: Position among the children of its role; `page.index` is the slot's position in the scoreboard.
        generation: How many children this slot has had, this one included.
        page: Its own page: a `core.doors.Slot`.
        channel: To the arbiter. Send `{"type": "ready", ...}` once; EOFError from `receive` = the arbiter is gone.
        args: From the ChildSpec.
        prepared: What the zygote's `preload` returned; None for a child of the arbiter itself.
        box_fd: The black box: what is written to it is told in the supervisor's log when this process dies or is
            asked for a dump; -1 when there is none.
        stderr_fd: The real standard error while the supervisor captures descriptor 2 of this process, else -1. Put it
            back on descriptor 2 once this process has shown that it can live.
        quiet: Start without taking messages.
        crash: How the predecessor in this slot died (fields of `core.hooks.Crash`), if it crashed.
    """

    index: int
    generation: int
    page: SlotPage
    channel: Channel
    args: Any = None
    prepared: Any = None
    box_fd: int = -1
    stderr_fd: int = -1
    quiet: bool = False
    crash: Mapping[str, Any] | None = None


def live(order: Order, channel: Channel, mask: Iterable[int], arbiter_pid: int) -> NoReturn:
    """The whole life of a child that the arbiter itself forked.

    The arbiter's frames stay on the stack below, and with them the owners of its descriptors: nothing of them is
    collected, so nobody closes a number that belongs to somebody else by now.

    Args:
        order: What it is to be.
        channel: Its end.
        mask: The signals that were blocked before all of them were, for the fork.
        arbiter_pid: Its parent.
    """
    _fenced(order, lambda: _live(order, channel, mask, arbiter_pid))


def live_adopted(
    order: Order, channel: Channel, mask: Iterable[int], arbiter_pid: int, prepared: Any, ours: Iterable[int]
) -> NoReturn:
    """The whole life of a child that the zygote forked: it waits until the arbiter has adopted it and knows its pid.

    Args:
        prepared: What the zygote's `preload` returned.
        ours: Descriptors of the zygote itself.
    """
    _fenced(order, lambda: _live_adopted(order, channel, mask, arbiter_pid, prepared, ours))


def run_target(order: Order, channel: Channel, prepared: Any = None, stderr_fd: int = -1) -> int:
    """Import the target, run it, and turn whatever comes out into an exit code."""
    spec = order.spec
    try:
        context = ChildContext(
            index=order.index,
            generation=order.generation,
            page=order.page,
            channel=channel,
            args=spec.args,
            prepared=prepared,
            box_fd=order.box_fd,
            stderr_fd=stderr_fd,
            quiet=order.quiet,
            crash=order.crash,
        )
        return int(pkgutil.resolve_name(spec.target)(context) or EXIT_OK)
    except SystemExit as stop:
        return _code_of(stop)
    except AsyncqError as error:
        _say_last_words(channel, str(error), f"asyncq: {error}")
        return error.exit_code
    except BaseException as error:  # noqa: BLE001 - fence: a child's end is an exit code, whatever it was
        _log.exception("child failed", extra={"role": spec.role, "index": order.index, "child": os.getpid()})
        _say_last_words(channel, f"{type(error).__name__}: {error}", "")
        return EXIT_INTERNAL


def flush_streams() -> None:
    """Write out what is buffered: before a fork both processes would, after it somebody must."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or None under pythonw and daemons
            stream.flush()


def _fenced(order: Order, life: Callable[[], int]) -> NoReturn:
    code = EXIT_INTERNAL
    try:
        code = life()
    except BaseException:  # noqa: BLE001 - fence: below this line lie the frames of whoever forked
        _log.exception("child not prepared", extra={"role": order.spec.role, "index": order.index})
    finally:
        flush_streams()
        os._exit(code)


def _live(order: Order, channel: Channel, mask: Iterable[int], arbiter_pid: int) -> int:
    os.setpgid(0, 0)
    die_with_parent()
    # The arbiter may have died before the line above: then nobody would ever tell us.
    if os.getppid() != arbiter_pid:
        return EXIT_INTERNAL
    reset_in_child()
    close_all_but((channel.fileno(), order.box_fd, order.captured_fd, *order.spec.keep_fds))
    return _begin(order, channel, mask, None)


def _live_adopted(
    order: Order, channel: Channel, mask: Iterable[int], arbiter_pid: int, prepared: Any, ours: Iterable[int]
) -> int:
    os.setpgid(0, 0)
    deadline = time.monotonic() + ADOPTION_S
    while os.getppid() != arbiter_pid:  # the process between us and the zygote is about to end
        if time.monotonic() > deadline or _hung_up(channel):
            return EXIT_INTERNAL
        time.sleep(_LOOK_S)
    die_with_parent()
    if os.getppid() != arbiter_pid:
        return EXIT_INTERNAL
    reset_in_child()
    cut_loose((channel.fileno(), order.box_fd, order.captured_fd, *order.spec.keep_fds), ours)
    gc.enable()
    return _begin(order, channel, mask, prepared) if _may_go(channel) else EXIT_OK


def _hung_up(channel: Channel) -> bool:
    """The arbiter is gone, or does not want this child any more."""
    end = select.poll()
    end.register(channel, 0)  # POLLHUP is told unasked
    return bool(end.poll(0))


def _may_go(channel: Channel) -> bool:
    """The arbiter says so once it knows our pid; it hangs up when it has given up waiting for it."""
    deadline = time.monotonic() + _GO_S
    while (left := deadline - time.monotonic()) > 0:
        readable(channel.fileno(), left)
        try:
            if channel.receive() is not None:
                return True
        except EOFError:
            return False
    return False


def _begin(order: Order, channel: Channel, mask: Iterable[int], prepared: Any) -> int:
    _reseed()
    stderr_fd = _capture(order.captured_fd)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return run_target(order, channel, prepared, stderr_fd)


def _capture(captured_fd: int) -> int:
    """Let standard error go where the arbiter keeps its last lines; returns the real one, -1 if nothing is captured."""
    if captured_fd < 0:
        return -1
    real = os.dup(2)
    os.dup2(captured_fd, 2)
    os.close(captured_fd)
    return real


def _reseed() -> None:
    """Or all workers would draw the same numbers: Python's generator, and numpy's global one if the app has it."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _code_of(stop: SystemExit) -> int:
    """As the interpreter does: None is 0, a text is printed and is 1."""
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or EXIT_OK
    sys.stderr.write(f"{stop.code}\n")
    return EXIT_CRASH_LOOP


def _say_last_words(channel: Channel, sentence: str, fallback: str) -> None:
    """Tell the arbiter, which writes the same sentence of several children once; else standard error."""
    try:
        channel.send({"type": "failed", "sentence": sentence})
    except (OSError, ValueError):
        if fallback:
            sys.stderr.write(fallback + "\n")
