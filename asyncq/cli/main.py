"""The commands `asyncq` and `asyncq-supervise`, and the fence that turns an error into a sentence and an exit code.

Called by the console scripts and `python -m asyncq`. The supervisor's parent lives in this process, so importing this
module brings click and settings and nothing heavier: whoever needs Redis, a loop or metrics imports it when it runs.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from asyncq.cli import output
from asyncq.cli.config import config_command
from asyncq.cli.dead import dead_command
from asyncq.cli.enqueue import enqueue_command
from asyncq.cli.options import REDIS, Session, loaded_from, settings_options
from asyncq.cli.stats import stats_command
from asyncq.cli.version import version_command
from asyncq.core.errors import EXIT_INTERNAL, EXIT_OK, AsyncqError

EXIT_INTERRUPTED = 130
# Settings of a worker process; the others are for its supervisor and the processes beside it.
_ONE_PROCESS = (
    "app",
    "queues",
    "per_proc",
    *REDIS,
    "delivery",
    "lease_s",
    "on_lease_lost",
    "drain_timeout_s",
    "cancel_timeout_s",
    "unknown_task_park_s",
    "max_message_bytes",
    "log_format",
)
_HELP = {"help_option_names": ["-h", "--help"]}


@click.group("asyncq", context_settings=_HELP, invoke_without_command=True)
@click.pass_context
def asyncq_group(context: click.Context) -> None:
    """A task queue on asyncio and Redis lists, supervised."""
    if context.invoked_subcommand is None:
        output.data(context.get_help())


@click.command("supervise", context_settings=_HELP, short_help="Run tasks in supervised processes.")
@settings_options()
def supervise_command(**flags: Any) -> int:
    """Run the tasks of an app: one process per CPU, restarted when one dies, drained on SIGTERM."""
    loaded = loaded_from(flags)
    from asyncq.cli.supervise import run  # the arbiter's rooms: only for the command that needs them

    return run(loaded)


@click.command("worker", context_settings=_HELP, short_help="Run tasks in this one process.")
@settings_options(*_ONE_PROCESS)
def worker_command(**flags: Any) -> int:
    """Run the tasks of an app in this process, without a supervisor: for development and debuggers."""
    loaded = loaded_from(flags)
    from asyncq.cli.supervise import run_single  # see above

    return run_single(loaded)


for _command in (
    supervise_command,
    worker_command,
    enqueue_command,
    stats_command,
    dead_command,
    config_command,
    version_command,
):
    asyncq_group.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `asyncq`. Returns the exit code."""
    return run_program(asyncq_group, "asyncq", arguments)


def supervise_main(arguments: Sequence[str] | None = None) -> int:
    """Run `asyncq-supervise`, which is `asyncq supervise`. Returns the exit code."""
    return run_program(supervise_command, "asyncq-supervise", arguments)


def run_program(command: click.Command, name: str, arguments: Sequence[str] | None) -> int:
    """Run one command line behind the fence: a person's mistake becomes one sentence, never a traceback."""
    session = Session()
    try:
        result = command.main(arguments, prog_name=name, standalone_mode=False, obj=session)
    except click.UsageError as error:
        context = error.ctx
        hint = f" (see {context.command_path} --help)" if context else ""
        output.talk(f"asyncq: {error.format_message()}{hint}")
        return error.exit_code
    except click.ClickException as error:
        output.talk(f"asyncq: {error.format_message()}")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except AsyncqError as error:
        if session.debug:
            traceback.print_exception(error, file=sys.stderr)
        output.talk(f"asyncq: {error}")
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the outermost fence: a bug of ours must not look like a crash loop
        traceback.print_exception(error, file=sys.stderr)
        output.talk(f"asyncq: internal error: {error!r}; please report it with the lines above")
        return EXIT_INTERNAL
    return result if isinstance(result, int) else EXIT_OK
