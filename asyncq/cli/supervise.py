"""`asyncq supervise` and `asyncq worker`: decide what runs, say it, hand it to the supervisor.

The supervisor's parent is this process: nothing that speaks to Redis, runs a loop or starts a thread is imported
here; each child imports what it needs after the fork (`asyncq.cli.child_worker`, `child_keeper`, `child_admin`).
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import asyncq
from asyncq.admin.health import live
from asyncq.broker import embedded
from asyncq.broker.choice import RedisChoice, resolve_redis
from asyncq.broker.embedded_plan import EmbeddedPlan
from asyncq.cli import output
from asyncq.cli.app import resolve_app
from asyncq.cli.fleet import fleet_view, health_limits
from asyncq.core import logs
from asyncq.core.cgroup import oom_kills
from asyncq.core.cpus import usable_cpus
from asyncq.core.environment import claim_service_manager
from asyncq.core.errors import ConfigurationError, PortBusyError
from asyncq.core.settings import Loaded, Settings
from asyncq.metrics.segment import Segment
from asyncq.supervisor.arbiter import Arbiter
from asyncq.supervisor.events import AllReady, ChildReady, Event
from asyncq.supervisor.notify import Notifier, NotifyTarget
from asyncq.supervisor.prctl import adopt_grandchildren
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.spec import ChildSpec, SupervisorSettings
from asyncq.supervisor.zygote import Household

log = logging.getLogger("asyncq.supervisor")

BACKLOG = 128
SHELLS = frozenset({"sh", "bash", "dash", "ash", "busybox", "zsh", "ksh"})
_BUSY = (errno.EADDRINUSE, errno.EACCES)
# Costs nothing until it is used: pages of memory are taken when the first series is written to them.
METRICS_BYTES_PER_SLOT = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildArgs:
    """What every child is given; crosses the fork as it is.

    Attributes:
        loaded: Settings and the folder of the app.
        app: Module that registers the tasks.
        redis_url: Where Redis answers.
        embedded_plan: Set when Redis is a child of ours, which may still be starting.
        scoreboard: Pages of all slots.
        segment: Metrics of all slots.
        listener_fd: The socket of /metrics, bound here, so that a restart of the admin process drops no connection.
    """

    loaded: Loaded
    app: str
    redis_url: str
    embedded_plan: EmbeddedPlan | None
    scoreboard: Scoreboard
    segment: Segment
    listener_fd: int

    @property
    def settings(self) -> Settings:
        return self.loaded.settings


def run(loaded: Loaded) -> int:
    """Supervise until told to stop. Returns the exit code.

    Raises:
        ConfigurationError: nothing to run, or no Redis to be had.
        PortBusyError: the metrics port is taken.
    """
    settings = loaded.settings
    app = resolve_app(loaded)
    choice = resolve_redis(settings, loaded.folder)
    procs, why = _procs(settings)
    logs.configure("supervisor", settings.log_level, settings.log_format)
    with _listener(settings) as listener:
        preload = settings.preload and adopt_grandchildren()
        helpers = 2 + (choice.plan is not None) + preload
        args = ChildArgs(
            loaded=loaded,
            app=app,
            redis_url=choice.url,
            embedded_plan=choice.plan,
            scoreboard=Scoreboard(procs + helpers),
            segment=Segment.create(procs + helpers, METRICS_BYTES_PER_SLOT),
            listener_fd=listener.fileno(),
        )
        voice = Voice(args, choice, procs, why, listener)
        limits = SupervisorSettings(
            drain_timeout_s=settings.drain_timeout_s,
            cancel_timeout_s=settings.cancel_timeout_s,
            crash_loop_exit_s=settings.crash_loop_exit_s,
            watchdog_s=settings.watchdog_s,
            redis_give_up_s=settings.redis_give_up_s,
        )
        manager = claim_service_manager()
        target = NotifyTarget(manager.notify_socket, manager.watchdog_s)
        notifier = Notifier(target, lambda: live(fleet_view(args.scoreboard.snapshot()), health_limits(settings)))
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # standard error is no file, or is not there
            faulthandler.enable()  # each child takes one of its own, into its black box
        try:
            specs = _specs(args, procs, preload)
            arbiter = Arbiter(specs, args.scoreboard, limits, voice.heard, oom_kills=oom_kills, notifier=notifier)
            voice.starting()  # whoever reads it may send signals
            _warn_of_shell()
            return arbiter.run()
        finally:
            if choice.plan is not None:
                embedded.clear_away(choice.plan)


def _warn_of_shell() -> None:
    """As the command of a container without `exec`, under a shell that keeps SIGTERM for itself."""
    if os.getppid() != 1:
        return
    with contextlib.suppress(OSError):  # no procfs
        name = Path("/proc/1/comm").read_text().strip()
        if name in SHELLS:
            remedy = f"start it with `exec`, or as the container's command itself: {name} does not pass SIGTERM on"
            log.warning("process 1 is a shell", extra={"shell": name, "remedy": remedy})


def _specs(args: ChildArgs, procs: int, preload: bool) -> list[ChildSpec]:
    """The children, in the order of their start; they stop by stage: workers and zygote, keeper, admin, Redis."""
    boot_s = args.settings.boot_timeout_s
    worker = ChildSpec(
        "worker",
        "asyncq.cli.child_worker:run_worker",
        args=args,
        count=procs,
        boot_timeout_s=boot_s,
        from_zygote=preload,
    )
    specs = []
    if args.embedded_plan is not None:
        specs.append(ChildSpec("redis", "asyncq.cli.child_redis:run_redis", args=args, stop_stage=3, handshake=False))
    if preload:
        household = Household(worker, args.scoreboard, "asyncq.cli.child_worker:preload")
        specs.append(ChildSpec("zygote", "asyncq.cli.child_worker:run_zygote", args=household, boot_timeout_s=boot_s))
    listener = (args.listener_fd,)
    return [
        *specs,
        ChildSpec("keeper", "asyncq.cli.child_keeper:run_keeper", args=args, stop_stage=1, gives_back=True),
        ChildSpec("admin", "asyncq.cli.child_admin:run_admin", args=args, stop_stage=2, keep_fds=listener),
        worker,
    ]


def _procs(settings: Settings) -> tuple[int, str]:
    if settings.procs == "auto":
        return usable_cpus()
    return settings.procs, "as asked for"


def _listener(settings: Settings) -> socket.socket:
    host, port = settings.metrics_host, settings.metrics_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, TypeError, ValueError) as error:  # TypeError: a NUL in it; ValueError: no possible host name
        reason = str(getattr(error, "strerror", None) or error).partition(" (while ")[0]
        if getattr(error, "errno", None) in _BUSY:
            raise PortBusyError(
                f"cannot serve metrics on {host}:{port}: {reason}; "
                "stop what uses it or give another --metrics-port (0 = any free port)"
            ) from None
        raise ConfigurationError(
            f"--metrics-host: expected an address of this machine, found {host!r} ({reason})"
        ) from None


class Voice:
    """Says what runs where: sentences on a terminal, one JSON line each otherwise."""

    def __init__(self, args: ChildArgs, choice: RedisChoice, procs: int, why: str, listener: socket.socket) -> None:
        self._args, self._choice, self._procs, self._why = args, choice, procs, why
        host, port = listener.getsockname()[:2]
        self._metrics = f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"
        self._queues: list[str] = []

    def starting(self) -> None:
        """Before the first fork."""
        settings = self._args.settings
        if logs.as_text(settings.log_format):
            output.talk(
                f"asyncq {asyncq.__version__} supervises {self._args.app}\n"
                f"  processes  {self._procs} x {settings.per_proc} tasks, {settings.delivery} ({self._why})\n"
                f"  redis      {self._choice.sentence}\n"
                f"  metrics    {self._metrics}"
            )
            return
        log.info(
            "supervising",
            extra={
                "app": self._args.app,
                "processes": self._procs,
                "per_proc": settings.per_proc,
                "delivery": settings.delivery,
                "why": self._why,
                "redis": self._choice.sentence,
                "metrics": self._metrics,
                "version": asyncq.__version__,
            },
        )

    def heard(self, event: Event) -> None:
        """An event of the supervisor; most are in its log already."""
        if isinstance(event, ChildReady) and event.role == "worker":
            self._queues = [str(queue) for queue in event.info.get("queues", [])]
        elif isinstance(event, AllReady):
            self._ready()

    def _ready(self) -> None:
        if logs.as_text(self._args.settings.log_format):
            output.talk(f"  queues     {', '.join(self._queues)}\nready; stop with Ctrl-C or SIGTERM")
            return
        log.info("ready", extra={"processes": self._procs, "queues": self._queues, "metrics": self._metrics})


def run_single(loaded: Loaded) -> int:
    """`asyncq worker`: one process without a supervisor. Returns the exit code.

    Raises:
        ConfigurationError, AppImportError: nothing to run.
    """
    settings = loaded.settings
    app = resolve_app(loaded)
    choice = resolve_redis(settings, loaded.folder)
    logs.configure("worker", settings.log_level, settings.log_format)
    from asyncq.cli.single import run_here  # brings redis-py and uvloop: never into a supervisor's parent

    return run_here(loaded, app, choice)
