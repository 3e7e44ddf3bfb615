"""The supervisor's loop: signals, ends of children, messages and time in; forks, signals and notices out.

`asyncq.cli` makes one Arbiter and calls `run`. One thread, one selector; what to do is decided by the pure modules
`child` and `policy`. Never imports a target, never speaks Redis, never waits for anything but its selector.
"""

from __future__ import annotations

import functools
import logging
import os
import selectors
import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from asyncq.core.errors import EXIT_CRASH_LOOP, EXIT_HANDED_BACK, EXIT_INTERNAL, EXIT_OK
from asyncq.supervisor import child as life
from asyncq.supervisor import policy
from asyncq.supervisor.brake import Change, RestartGuard
from asyncq.supervisor.child import Level, State
from asyncq.supervisor.events import (
    AllReady,
    ChildDied,
    ChildReady,
    Degraded,
    Draining,
    Event,
    GaveUp,
    Recovered,
)
from asyncq.supervisor.notices import Notices
from asyncq.supervisor.reaps import KeeperLink
from asyncq.supervisor.scoreboard import Scoreboard, SupervisorState
from asyncq.supervisor.signals import Command, SignalInbox
from asyncq.supervisor.slots import ManagedSlot, make_slots
from asyncq.supervisor.spawn import ForkSpawner, Order, Spawner
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings
from asyncq.supervisor.stopping import Stopping

_log = logging.getLogger("asyncq.supervisor")

# A start that brake or pace hold back is looked at again this soon.
_HELD_BACK_S = 0.1


class Arbiter:
    """Keeps the children of `specs` alive until it is told to stop.

    Args:
        specs: The children. All of them are forked in the first turn of the loop.
        scoreboard: Made by the caller with at least one slot per child.
        settings: Time limits.
        on_event: Called with every Event of `events`, in the arbiter's process; must be quick and must not raise.
        spawner: How processes are made; default: by forking.
        rng: Draws the jitter of the back-off.

    Raises:
        ConfigurationError: specs and scoreboard do not fit together.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        scoreboard: Scoreboard,
        settings: SupervisorSettings | None = None,
        on_event: Callable[[Event], object] | None = None,
        *,
        spawner: Spawner | None = None,
        rng: Random | None = None,
    ) -> None:
        self._settings = settings or SupervisorSettings()
        self._board = scoreboard
        self._slots = make_slots(specs, scoreboard, self._settings)
        self._workers = [slot for slot in self._slots if slot.is_worker]
        self._by_pid: dict[int, ManagedSlot] = {}
        self._link = KeeperLink(self._slots)
        self._notices = Notices(on_event, self._settings.notify_socket)
        self._spawner = spawner or ForkSpawner()
        self._rng = rng or Random()
        self._guard = RestartGuard(self._slots, self._settings)
        self._stopping = Stopping(self._slots, self._link, self._settings.reap_timeout_s)
        self._complete = False
        self._any_worker_ready = False
        self._result = EXIT_OK
        self._work_left_behind = False

    def run(self) -> int:
        """Supervise until stopped; returns the exit code.

        0 drained, 1 crash loop, 75 a worker was cancelled or killed, 70 internal error; a first boot that fails
        with a code that another try cannot cure (2, 3, 73) returns that code.
        """
        self._selector = selectors.DefaultSelector()
        self._inbox = SignalInbox()
        self._selector.register(self._inbox, selectors.EVENT_READ, self._on_signals)
        try:
            self._loop()
        except Exception:  # noqa: BLE001 - fence: the tree must not outlive a broken arbiter
            _log.exception("supervisor failed")
            self._kill_everything()
            return EXIT_INTERNAL
        finally:
            self._selector.close()
            self._inbox.close()
        left_behind = self._work_left_behind or self._stopping.reaps_unconfirmed
        return self._result or (EXIT_HANDED_BACK if left_behind else EXIT_OK)

    # -- the loop

    def _loop(self) -> None:
        self._board.supervisor.begin(os.getpid(), len(self._workers))
        self._show_state()
        for slot in self._slots:
            slot.feed(life.Start(), time.monotonic())
        while not self._stopping.finished:
            self._tick(time.monotonic())
            if not self._stopping.finished:
                for key, mask in self._selector.select(self._patience_s(time.monotonic())):
                    key.data(mask)

    def _tick(self, now: float) -> None:
        self._board.supervisor.beat()
        if self._stopping.level:
            while self._stopping.next_stage(now):
                self._ask_to_leave(Level.DRAIN)
        else:
            self._look_at_brake(now)  # before the next probe starts, or there would always be one to hear out
        for slot in self._slots:
            self._feed(slot, life.Tick(self._guard.may_start(slot, now)), now)
        self._link.share_living()
        self._watch_for_room()

    def _patience_s(self, now: float) -> float:
        """Until the next thing that is due; what is due but held back is looked at again soon."""
        waits = [slot.child.due_mono - now for slot in self._slots]
        return min(self._settings.tick_s, *(wait if wait > 0 else _HELD_BACK_S for wait in waits))

    def _feed(self, slot: ManagedSlot, event: life.Event, now: float) -> None:
        match slot.feed(event, now):
            case life.Spawn():
                self._spawn(slot, now)
            case life.Signal(number):
                slot.send_signal(number)

    # -- starting

    def _spawn(self, slot: ManagedSlot, now: float) -> None:
        self._guard.started(slot, now)
        slot.generation += 1
        slot.page.begin(slot.spec.role, slot.index, slot.generation)
        try:
            pid, channel = self._spawner.spawn(Order(slot.spec, slot.index, slot.generation, slot.page))
        except OSError as error:
            failures = slot.child.failures + 1
            delay_s = policy.delay_s(failures + 1, self._settings, self._rng)
            self._feed(slot, life.SpawnFailed(failures, delay_s), now)
            _log.error(
                "fork refused",
                extra={"role": slot.spec.role, "index": slot.index, "error": str(error), "again_in_s": delay_s},
            )
            return
        slot.channel = channel
        self._by_pid[pid] = slot
        self._selector.register(channel, selectors.EVENT_READ, functools.partial(self._on_channel, slot))
        self._watch_end(slot, pid)
        self._feed(slot, life.Spawned(pid), now)
        if not slot.spec.handshake:
            self._on_ready(slot, {}, now)

    def _watch_end(self, slot: ManagedSlot, pid: int) -> None:
        """A pidfd says it sooner and more surely than SIGCHLD; SIGCHLD alone is enough where there is none."""
        try:
            slot.pidfd = os.pidfd_open(pid)
        except (AttributeError, OSError):
            return
        self._selector.register(slot.pidfd, selectors.EVENT_READ, self._reap)

    # -- what children say

    def _on_channel(self, slot: ManagedSlot, mask: int) -> None:
        channel = slot.channel
        if channel is None:  # its end was seen earlier in this turn
            return
        try:
            if mask & selectors.EVENT_WRITE:
                channel.flush()
            while (message := channel.receive()) is not None:
                self._on_message(slot, message)
        except (EOFError, OSError):
            # Not a death yet (a foreign program closes it on exec): the process itself is watched.
            self._selector.unregister(channel)
            channel.close()
            slot.channel = None
        except ValueError as error:
            _log.warning("message not understood", extra={"role": slot.spec.role, "error": str(error)})

    def _on_message(self, slot: ManagedSlot, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "ready":
                self._on_ready(slot, {key: message[key] for key in message if key != "type"}, time.monotonic())
            case "reaped":
                self._link.ledger.confirm(message.get("seq"))
            case "failed":
                slot.last_words = str(message.get("sentence", ""))
            case other:
                _log.warning("message not understood", extra={"role": slot.spec.role, "type": other})

    def _on_ready(self, slot: ManagedSlot, info: dict[str, Any], now: float) -> None:
        forked_mono = slot.child.since_mono
        before = slot.state
        self._feed(slot, life.Ready(), now)
        if slot.state is not State.READY or before is State.READY:
            return
        self._any_worker_ready = self._any_worker_ready or slot.is_worker
        self._notices.tell(ChildReady(slot.spec.role, slot.index, slot.child.pid, info, round(now - forked_mono, 3)))
        if slot is self._link.keeper:
            self._link.keeper_ready()
        if not self._complete and all(each.state is State.READY for each in self._slots):
            self._complete = True
            self._board.supervisor.set_complete()
            self._show_state()
            self._notices.tell(AllReady())

    def _watch_for_room(self) -> None:
        """Watch for room to write exactly while something waits in an outbox."""
        for slot in self._slots:
            if slot.channel is not None and slot.channel.unsent != slot.writing:
                slot.writing = slot.channel.unsent
                mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if slot.writing else 0)
                self._selector.modify(slot.channel, mask, functools.partial(self._on_channel, slot))

    # -- ends

    def _reap(self, mask: int = 0) -> None:
        """Collect every ended process; as PID 1 that includes strangers."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            slot = self._by_pid.pop(pid, None)
            if slot is not None:
                self._on_end(slot, policy.Exit(os.waitstatus_to_exitcode(status)), time.monotonic())

    def _on_end(self, slot: ManagedSlot, end: policy.Exit, now: float) -> None:
        self._let_go(slot)
        gone = slot.child
        asked = gone.state is State.DRAINING
        settled = slot.page.settled
        verdict = policy.judge(end, asked=asked, was_ready=gone.was_ready, settled=settled)
        if end.code:
            slot.sweep_group(gone.pid)
        self._link.buried(slot)
        self._notices.tell(ChildDied(slot.spec.role, slot.index, gone.pid, str(end), verdict.reason, verdict.counted))
        ready_for_s = now - gone.since_mono if gone.was_ready else 0.0
        failures = policy.failures_after(gone.failures, verdict, ready_for_s, self._settings)
        fatal = end.code in policy.HOPELESS_EXITS and not self._any_worker_ready
        delay_s = policy.delay_s(failures, self._settings, self._rng)
        self._feed(slot, life.Exited(failures, delay_s, fatal), now)
        if asked:
            self._note_stopped(slot, gone, end)
        elif fatal:
            self._first_boot_failed(slot, end)
        elif slot.is_worker:
            self._board.supervisor.count_restart(verdict.reason)
            if self._guard.died(verdict, now):
                self._show_state()
                self._notices.tell(Degraded(self._guard.deaths(now), self._settings.brake_window_s))

    def _let_go(self, slot: ManagedSlot) -> None:
        """Hear its last words, then close what belonged to the process."""
        self._on_channel(slot, 0)
        if slot.channel is not None:
            self._selector.unregister(slot.channel)
        if slot.pidfd >= 0:
            self._selector.unregister(slot.pidfd)
        slot.forget_process()

    def _note_stopped(self, slot: ManagedSlot, gone: life.Child, end: policy.Exit) -> None:
        """A worker that did not drain in time and in order has left work to others."""
        if slot.is_worker and (gone.overdue or (gone.was_ready and end.code)):
            self._work_left_behind = True

    # -- giving up and stopping

    def _look_at_brake(self, now: float) -> None:
        match self._guard.look(now):
            case Change.RELEASED:
                self._show_state()
                self._notices.tell(Recovered())
            case Change.CRASH_LOOP:
                self._crash_loop()
            case Change.NONE:
                pass

    def _first_boot_failed(self, slot: ManagedSlot, end: policy.Exit) -> None:
        """All workers start at once, so all of them fail; the first one's sentence speaks for them."""
        who = f"{slot.spec.role}[{slot.index}]"
        sentence = slot.last_words or f"{who} ended with {end} before anything was ready"
        self._give_up(end.code, (sentence,), sentence)

    def _crash_loop(self) -> None:
        words = tuple(dict.fromkeys(worker.last_words for worker in self._workers if worker.last_words))
        said = "; ".join(words) or "they said nothing; see their output above"
        self._give_up(
            EXIT_CRASH_LOOP, words, f"crash loop: workers keep dying before they settle anything. Last words: {said}"
        )

    def _give_up(self, exit_code: int, last_words: tuple[str, ...], sentence: str) -> None:
        if self._result:
            return
        self._result = exit_code
        sys.stderr.write(f"asyncq: {sentence}\n")
        sys.stderr.flush()
        self._notices.tell(GaveUp(exit_code, last_words))
        self._stop(Level.DRAIN)

    def _on_signals(self, mask: int) -> None:
        for command, number in self._inbox.commands():
            match command:
                case Command.STOP:
                    self._stop(Level(min(self._stopping.level + 1, Level.KILL)))
                case Command.CANCEL:
                    self._stop(max(self._stopping.level, Level.CANCEL))
                case Command.REAP:
                    self._reap()
                case Command.IGNORE:
                    _log.warning("signal ignored", extra={"signal": number.name})

    def _stop(self, level: Level) -> None:
        """Begin to stop, or make it more urgent for the stage that is leaving."""
        first = not self._stopping.level
        self._stopping.ask(level)
        self._show_state()
        self._notices.tell(Draining(level.name), first=first)
        self._ask_to_leave(level)

    def _ask_to_leave(self, level: Level) -> None:
        for slot in self._stopping.members():
            self._feed(slot, life.Leave(level), time.monotonic())

    def _kill_everything(self) -> None:
        for pid, slot in self._by_pid.items():
            slot.sweep_group(pid)
        for pid in self._by_pid:
            os.waitpid(pid, 0)

    def _show_state(self) -> None:
        if self._stopping.level:
            state = SupervisorState.DRAINING
        elif self._guard.engaged:
            state = SupervisorState.DEGRADED
        else:
            state = SupervisorState.RUNNING if self._complete else SupervisorState.BOOT
        self._board.supervisor.set_state(state)
