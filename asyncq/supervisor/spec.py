"""What the supervisor is told: which children to keep alive, and its own time limits.

Written by `asyncq.cli`, read by the arbiter and the spawner. Values only; nothing here acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from asyncq.core.errors import ConfigurationError

WORKER: Final = "worker"
ZYGOTE: Final = "zygote"
MAX_ROLE_CHARS: Final = 8


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One kind of child.

    Attributes:
        role: 1 to 8 ASCII letters: `worker`, `zygote`, `keeper`, `admin`, `redis`. Only workers are drained with the
            long limits and understand SIGQUIT; only they and the zygote count for the brake.
        target: "module:function", imported after the fork and called with a ChildContext; returns an exit code.
        count: How many of them; default 1.
        args: Handed to the target untouched (it crosses a fork, so any object will do).
        keep_fds: Descriptors, besides 0, 1, 2 and the channel, that stay open in the child.
        stop_stage: Stages stop in ascending order, each when the one before is gone.
        handshake: False for a target that execs a foreign program: READY right after the fork.
        boot_timeout_s: READY must come within this time, seconds; default 60.
        from_zygote: Forked by the child whose role is `zygote`, with everything that that one has imported.
        gives_back: True for the child (at most one) that is told to reap the incarnations of the dead.
    """

    role: str
    target: str
    count: int = 1
    args: Any = None
    keep_fds: tuple[int, ...] = ()
    stop_stage: int = 0
    handshake: bool = True
    boot_timeout_s: float = 60.0
    from_zygote: bool = False
    gives_back: bool = False

    @property
    def is_worker(self) -> bool:
        """Whether it consumes messages."""
        return self.role == WORKER

    @property
    def is_zygote(self) -> bool:
        """Whether it forks the others."""
        return self.role == ZYGOTE

    def __post_init__(self) -> None:
        if not (self.role.isascii() and self.role.isalpha() and len(self.role) <= MAX_ROLE_CHARS):
            raise ConfigurationError(f"role: expected 1 to {MAX_ROLE_CHARS} ASCII letters, found {self.role!r}")
        module, _, function = self.target.partition(":")
        if not (module and function):
            raise ConfigurationError(f"target of {self.role}: expected 'module:function', found {self.target!r}")
        if self.count < 1:
            raise ConfigurationError(f"count of {self.role}: expected a whole number from 1, found {self.count}")
        if self.gives_back and self.count != 1:
            raise ConfigurationError(f"{self.role}: exactly one child can give back, found count={self.count}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSettings:
    """Limits of the supervisor; every time in seconds.

    Attributes:
        drain_timeout_s: From SIGTERM to SIGQUIT for a worker.
        cancel_timeout_s: From SIGQUIT to SIGKILL for a worker.
        helper_timeout_s: From SIGTERM to SIGKILL for every other role.
        reap_timeout_s: How long the end waits for the keeper to confirm its reaps.
        backoff_base_s, backoff_cap_s: Wait before the second counted restart in a row, doubling up to the cap.
        healthy_s: A child that was READY for this long starts its back-off anew.
        brake_window_s, brake_least: More than max(brake_least, 2 x workers) counted deaths in the window engage
            the brake: one probe at a time.
        probe_ok_s: A probe that stays READY this long (or settles something) releases the brake.
        crash_loop_exit_s: Exit 1 after this long of failing probes.
        respawns_per_s: Replacements in any one second, counted deaths or not.
        watchdog_s: A child whose loop has not beaten for this long is put down.
        warn_s: One that has not beaten for this long is asked where it stands.
        redis_give_up_s: Exit 69 when Redis has answered nobody for this long; 0 = never.
        tick_s: Longest sleep of the loop.
    """

    drain_timeout_s: float = 25.0
    cancel_timeout_s: float = 3.0
    helper_timeout_s: float = 5.0
    reap_timeout_s: float = 5.0
    backoff_base_s: float = 0.5
    backoff_cap_s: float = 30.0
    healthy_s: float = 60.0
    brake_window_s: float = 60.0
    brake_least: int = 5
    probe_ok_s: float = 5.0
    crash_loop_exit_s: float = 45.0
    respawns_per_s: int = 10
    watchdog_s: float = 20.0
    warn_s: float = 2.0
    redis_give_up_s: float = 0.0
    tick_s: float = 1.0
