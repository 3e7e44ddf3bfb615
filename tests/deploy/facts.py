"""What the code promises, as the names and numbers that the files under deploy/ must agree with.

Asked by the rules beside it. Reads the code, never the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from asyncq.admin.app import AdminSources, create_app
from asyncq.cli.main import supervise_command
from asyncq.core.settings import CATALOGUE, Settings, load
from asyncq.supervisor.spec import SupervisorSettings

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "asyncq-supervise"
MARGIN_S = 5.0
HELPER_STAGES = 2  # keeper, then admin: each has its own time to leave, after the workers
SOME_REDIS = "redis://127.0.0.1:6379/0"

DEFAULTS: Mapping[str, Any] = {setting.name: setting.default for setting in CATALOGUE}
VARIABLES = {setting.variable + end for setting in CATALOGUE for end in ("", "_FILE")}


def settings_of(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """What `asyncq-supervise ARGUMENTS` makes of them, read by the real command.

    Raises:
        ValueError: the command refuses them; its own sentence.
    """
    try:
        flags = supervise_command.make_context(PROGRAM, list(arguments)).params
        return load(flags, environ, Path("/no/such/folder")).settings
    except click.UsageError as error:
        raise ValueError(error.format_message()) from error
    except Exception as error:
        raise ValueError(str(error)) from error


def longest_stop_s(settings: Settings) -> float:
    """From SIGTERM to the supervisor's end, when everything takes all the time it is given."""
    limits = SupervisorSettings()
    workers = settings.drain_timeout_s + settings.cancel_timeout_s
    return workers + limits.reap_timeout_s + HELPER_STAGES * limits.helper_timeout_s


def longest_start_s(settings: Settings) -> float:
    """Until the supervisor itself gives up: a process may boot that long, and then the crash loop is watched."""
    return settings.boot_timeout_s + settings.crash_loop_exit_s


def routes() -> set[str]:
    """The pages that the admin process answers."""
    nothing: Any = None  # asked at a request only
    sources = AdminSources(fleet=nothing, regions=nothing, queues=nothing, version="")
    return {route.path for route in create_app(sources).routes}  # type: ignore[attr-defined]
