"""The environment of this process: the only module of the house that touches it, and never at import.

Asked by `core.settings` for the variables of the settings, and by the supervisor's command for what a service manager
left there, which it takes out.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from dataclasses import dataclass


def variables() -> MutableMapping[str, str]:
    """As they are now; a change to the mapping is a change to the environment."""
    return os.environ


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """What the program that started us wants to hear (sd_notify), and where.

    Attributes:
        notify_socket: A path, or `@name` for an abstract socket; "" when nobody listens.
        watchdog_s: We are killed when WATCHDOG=1 is missing for this long; 0 = there is no such watchdog.
    """

    notify_socket: str = ""
    watchdog_s: float = 0.0


def claim_service_manager(environ: MutableMapping[str, str] | None = None, pid: int | None = None) -> ServiceManager:
    """Read what the service manager left in the environment, and take it out, so that it is ours alone.

    Called once, by the supervisor, before it forks: as `sd_notify` does with `unset_environment`. A program that a
    handler runs, or a server that a child becomes, would otherwise report its own start, end and life as the service's.

    Args:
        environ: Default: the environment of this process.
        pid: Whom a watchdog must be meant for; default: this process. WATCHDOG_PID may name another one, such as
            a shell that started us: then it is that one's to feed.
    """
    environ = variables() if environ is None else environ
    address, usec, meant = (environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"))
    ours = meant in ("", str(os.getpid() if pid is None else pid))
    watchdog_s = int(usec) / 1_000_000 if ours and usec.isascii() and usec.isdigit() else 0.0
    return ServiceManager(address, watchdog_s)
