"""The supervisor's loop: signals, ends of children, messages and time in; forks, signals and notices out.

`asyncq.cli` makes one Arbiter and calls `run`. One thread, one selector; what to do is decided by the pure modules
`child` and `policy`. Never imports a target, never speaks Redis, never waits for anything but its selector.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from asyncq.core.errors import EXIT_INTERNAL
from asyncq.supervisor import child as life
from asyncq.supervisor import policy
from asyncq.supervisor.births import Births
from asyncq.supervisor.brake import Change, RestartGuard
from asyncq.supervisor.child import Level, State
from asyncq.supervisor.events import (
    AllReady,
    ChildReady,
    Draining,
    Event,
    GaveUp,
    Quieted,
    Recovered,
    Resumed,
)
from asyncq.supervisor.notices import Notices
from asyncq.supervisor.notify import Notifier
from asyncq.supervisor.prctl import adopt_grandchildren
from asyncq.supervisor.reaps import KeeperLink
from asyncq.supervisor.result import Result
from asyncq.supervisor.scoreboard import Scoreboard, SupervisorState
from asyncq.supervisor.signals import Command, SignalInbox
from asyncq.supervisor.slots import ManagedSlot, make_slots
from asyncq.supervisor.spawn import ForkSpawner, Spawner
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings
from asyncq.supervisor.standing_orders import StandingOrders
from asyncq.supervisor.status import Counts, census
from asyncq.supervisor.stopping import Stopping
from asyncq.supervisor.vigil import Vigil
from asyncq.supervisor.watch import Watch

_log = logging.getLogger("asyncq.supervisor")

# A start that brake or pace hold back is looked at again this soon.
_HELD_BACK_S = 0.1


class Arbiter:
    """Keeps the children of `specs` alive until it is told to stop: signals are caught from its making on. Run it once.

    Args:
        specs: The children. All of them are forked in the first turn of the loop.
        scoreboard: Made by the caller with at least one slot per child.
        settings: Time limits.
        on_event: Called with every Event of `events`, in the arbiter's process; must be quick and must not raise.
        spawner: How processes are made that no zygote makes; default: by forking.
        oom_kills: How often the kernel has killed for memory in our cgroup; default: nobody counts.
        notifier: To the service manager that started us; default: nobody did.

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
        oom_kills: Callable[[], int | None] = lambda: None,
        notifier: Notifier | None = None,
    ) -> None:
        self._settings = settings or SupervisorSettings()
        self._board = scoreboard
        self._slots = make_slots(specs, scoreboard, self._settings)
        self._workers = [slot for slot in self._slots if slot.is_worker]
        self._link = KeeperLink(self._slots)
        self._notices = Notices(on_event, notifier or "")
        self._spawner = spawner or ForkSpawner()
        self._rng = Random()  # the jitter of the back-off
        self._vigil = Vigil(self._slots, self._settings, self._notices, self._feed, oom_kills, time.monotonic())
        self._guard = RestartGuard(self._slots, self._settings)
        self._stopping = Stopping(self._slots, self._link, self._settings.reap_timeout_s)
        self._standing = StandingOrders(self._slots)
        self._complete = False
        self._redis_seen_mono = time.monotonic()
        self._any_worker_ready = False
        self._result = Result()
        self._inbox = SignalInbox()

    def run(self) -> int:
        """Supervise until stopped; returns the exit code.

        0 drained; 75 work was left to others: a worker was cancelled, killed or late, or the keeper did not confirm;
        1 crash loop; 70 internal error. A child that fails before any worker was ready with a code that another try
        cannot cure (2, 3, 73) ends everything with that code.
        """
        self._watch = Watch(self._inbox, self._on_signals, self._on_message, self._on_end)
        self._births = Births(
            self._slots,
            self._spawner,
            self._watch,
            self._settings,
            self._rng,
            feed=self._feed,
            on_end=self._on_end,
            on_ready=lambda slot: self._on_ready(slot, {}, time.monotonic()),
        )
        self._watch.expecting = self._births.expecting
        try:
            if self._births.zygote is not None:
                adopt_grandchildren()
            self._loop()
        except Exception:  # noqa: BLE001 - fence: the tree must not outlive a broken arbiter
            _log.exception("supervisor failed")
            self._watch.kill_everything()
            return EXIT_INTERNAL
        finally:
            self._watch.close()
            self._inbox.close(at_the_end=True)
        return self._result.exit_code(reaps_unconfirmed=self._stopping.reaps_unconfirmed)

    # -- the loop

    def _loop(self) -> None:
        self._board.supervisor.begin(len(self._workers))
        self._show_state()
        for slot in self._slots:
            slot.feed(life.Start(), time.monotonic())
        gc.collect()
        gc.freeze()  # all of this stays: a collection need not look at it again
        attention = self._vigil.attention
        while not self._stopping.finished:
            self._tick(time.monotonic())
            if not self._stopping.finished:
                now = time.monotonic()
                patience_s = self._patience_s(now)
                attention.sleeps(now, patience_s)
                self._watch.wait(patience_s)
                if gap_s := attention.wakes(time.monotonic()):
                    self._overslept(gap_s)

    def _overslept(self, gap_s: float) -> None:
        """The whole tree may have stood still: no time limit ran meanwhile."""
        effect = "time limits are longer by that, and silence until now is no hang"
        _log.warning("supervisor was not running", extra={"for_s": round(gap_s, 3), "effect": effect})
        now = time.monotonic()
        self._guard.overslept(gap_s)
        for slot in self._slots:
            self._feed(slot, life.Overslept(gap_s), now)

    def _tick(self, now: float) -> None:
        self._board.supervisor.beat()
        if not self._stopping.level:
            self._look_at_redis(now)
        if not self._stopping.level:
            self._look_at_brake(now)  # before the next probe starts, or there would always be one to hear out
        while self._stopping.level and self._stopping.next_stage(now):
            self._ask_to_leave(Level.DRAIN)
        self._vigil.look(now)
        for slot in self._slots:
            self._feed(slot, life.Tick(self._may_start(slot, now)), now)
        self._link.share_living()
        self._notices.show(self._counts(now), now)

    def _counts(self, now: float) -> Counts:
        deaths = self._guard.deaths(now) if self._guard.engaged else 0
        leaving = bool(self._stopping.level)
        return census(self._slots, self._settings, now, leaving=leaving, deaths=deaths, quiet=self._standing.quiet)

    def _patience_s(self, now: float) -> float:
        """Until the next thing that is due; what is due but held back is looked at again soon."""
        dues = [*(slot.child.due_mono for slot in self._slots), self._vigil.due_mono, self._notices.due_mono]
        waits = [due - now for due in dues]
        return min(self._settings.tick_s, *(wait if wait > 0 else _HELD_BACK_S for wait in waits))

    def _feed(self, slot: ManagedSlot, event: life.Event, now: float) -> None:
        match slot.feed(event, now):
            case life.Spawn():
                self._spawn(slot, now)
            case life.Signal(number):
                slot.send_signal(number)

    def _may_start(self, slot: ManagedSlot, now: float) -> bool:
        return self._births.can_fork(slot) and self._guard.may_start(slot, now)

    def _spawn(self, slot: ManagedSlot, now: float) -> None:
        self._guard.started(slot, now)
        on_probation = slot.is_worker and (self._guard.engaged or slot.child.failures > 0)
        self._births.spawn(slot, now, quiet=self._standing.quiet, on_probation=on_probation)

    # -- what children say

    def _on_message(self, slot: ManagedSlot, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "ready":
                self._on_ready(slot, {key: message[key] for key in message if key != "type"}, time.monotonic())
            case "reaped":
                self._link.ledger.confirm(message.get("seq"))
            case "forked" | "not_forked" if self._births.zygote is not None and slot is self._births.zygote.slot:
                self._births.zygote.answered(message)
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
        self._standing.catch_up(slot)
        self._notices.tell(ChildReady(slot.spec.role, slot.index, slot.child.pid, info, round(now - forked_mono, 3)))
        if slot is self._link.keeper:
            self._link.keeper_ready()
        slot.crash = None  # it has been told
        if not self._complete and all(each.state is State.READY for each in self._slots):
            self._complete = True
            self._board.supervisor.set_complete()
            self._show_state()
            self._notices.tell(AllReady())

    # -- ends

    def _on_end(self, slot: ManagedSlot, end: policy.Exit) -> None:
        now, gone, page = time.monotonic(), slot.child, slot.page
        asked = gone.state is State.DRAINING
        found = self._vigil.autopsy(slot, gone.pid, end, asked=asked)
        hung, oom, own_hand = found.hung, found.oom, found.own_hand
        verdict = policy.judge(
            end, asked=asked, was_ready=gone.was_ready, settled=page.settled, alone=page.alone, hung=hung, oom=oom
        )
        exited = policy.exited(gone, end, verdict, now, self._settings, self._rng, hopeful=self._any_worker_ready)
        slot.sweep_group(gone.pid)  # also what a handler has left behind when its worker ended in order
        self._link.buried(slot, policy.blame(end, asked=asked, hung=hung, oom=oom, own_hand=own_hand), hung=hung)
        cause = policy.cause(end, hung=hung, oom=oom, own_hand=own_hand)
        again_in_s = None if asked or exited.fatal else round(exited.delay_s, 3)
        died = found.told(slot, gone.pid, cause, verdict, again_in_s)
        self._notices.tell(died)
        slot.remember(died, now)
        self._feed(slot, exited, now)
        if self._births.zygote is not None and slot is self._births.zygote.slot:
            self._births.zygote.died()
        self._draw_conclusions(slot, gone, end, verdict, exited, now)
        gc.collect()  # or CPython keeps freed tuples, up to 2,000 of each size

    def _draw_conclusions(
        self,
        slot: ManagedSlot,
        gone: life.Child,
        end: policy.Exit,
        verdict: policy.Verdict,
        exited: life.Exited,
        now: float,
    ) -> None:
        """What the end of one child means for the whole tree."""
        if gone.state is State.DRAINING:
            self._result.stopped(slot, gone, end)
        elif exited.fatal:
            self._give_up(self._result.first_boot_failed(slot, end))
        elif slot.is_worker or slot.spec.is_zygote:
            if slot.is_worker:
                self._board.supervisor.count_restart(verdict.reason)
            if self._guard.died(verdict, now):
                self._show_state()
                self._notices.tell(self._guard.degraded(now))

    # -- giving up and stopping

    def _look_at_redis(self, now: float) -> None:
        seen = [slot.page.redis_seen_ns / 1e9 for slot in self._slots]
        since = self._vigil.attention.running_since_mono  # nobody could answer while we stood still
        self._redis_seen_mono = max(self._redis_seen_mono, since, *seen)
        if policy.redis_given_up(self._redis_seen_mono, now, self._settings):
            self._give_up(self._result.redis_away(self._settings.redis_give_up_s))

    def _look_at_brake(self, now: float) -> None:
        match self._guard.look(now):
            case Change.RELEASED:
                self._show_state()
                self._notices.tell(Recovered())
            case Change.CRASH_LOOP:
                self._give_up(
                    self._result.crash_loop([slot for slot in self._slots if slot.is_worker or slot.spec.is_zygote])
                )
            case Change.NONE:
                pass

    def _give_up(self, reason: GaveUp | None) -> None:
        if reason is not None:
            self._notices.tell(reason)
            self._stop(Level.DRAIN)

    def _on_signals(self) -> None:
        for command, number in self._inbox.commands():
            match command:
                case Command.STOP:
                    self._stop(Level(min(self._stopping.level + 1, Level.KILL)))
                case Command.CANCEL:
                    self._stop(max(self._stopping.level, Level.CANCEL))
                case Command.QUIET | Command.RESUME:
                    self._set_quiet(command is Command.QUIET)
                case Command.REOPEN:
                    self._standing.reopen_log()
                case Command.DUMP:
                    self._vigil.dump(time.monotonic())
                case Command.REAP:
                    self._watch.reap()
                case Command.IGNORE:
                    _log.warning("signal ignored", extra={"signal": number.name})

    def _set_quiet(self, quiet: bool) -> None:
        """Have all workers stop taking, or take again. Once the tree is leaving nobody takes anyway."""
        if self._stopping.level or quiet is self._standing.quiet:
            return
        self._standing.be_quiet(quiet)
        self._show_state()
        self._notices.tell(Quieted() if quiet else Resumed())

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

    def _show_state(self) -> None:
        if self._stopping.level:
            state = SupervisorState.DRAINING
        elif self._guard.engaged:
            state = SupervisorState.DEGRADED
        elif self._standing.quiet:
            state = SupervisorState.QUIET
        else:
            state = SupervisorState.RUNNING if self._complete else SupervisorState.BOOT
        self._board.supervisor.set_state(state)
