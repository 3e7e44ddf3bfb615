"""The one catalogue of settings, and `load`, which makes a frozen Settings from flags, environment and files.

Called by the roof once per command, and by producers that ask for the Redis URL. Flags, names of variables,
keys of the files and `asyncq config` all come from CATALOGUE: there is no second list. Reads nothing at import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from asyncq.core import environment, parse, settings_file
from asyncq.core.errors import ConfigurationError
from asyncq.core.redaction import redact


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, checked. Field names carry the unit; see CATALOGUE for meaning and default."""

    app: str | None
    queues: tuple[str, ...]
    procs: int | Literal["auto"]
    per_proc: int
    preload: bool
    redis_url: str | None
    redis_server: str | None
    delivery: Literal["at-least-once", "at-most-once"]
    lease_s: float
    on_lease_lost: Literal["continue", "cancel"]
    boot_timeout_s: float
    watchdog_s: float
    crash_loop_exit_s: float
    redis_give_up_s: float
    drain_timeout_s: float
    cancel_timeout_s: float
    unknown_task_park_s: float
    max_message_bytes: int
    metrics_host: str
    metrics_port: int
    log_format: Literal["auto", "text", "json"]
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the catalogue.

    Attributes:
        name: Field of Settings.
        key: Key in asyncq.toml and [tool.asyncq]; the flag is `--key`.
        parser: How it is read and what it expects.
        default: Value when nobody says anything.
        help: One line for people.
        unit: "s", "bytes" or "".
        secret: True if the value may hold a password and is never printed as it is.
        env: The variable, when its name does not follow from the key.
        fallback_env: A variable of the wider world that is asked after our own.
    """

    name: str
    key: str
    parser: parse.Parser
    default: Any
    help: str
    unit: str = ""
    secret: bool = False
    env: str = ""
    fallback_env: str = ""

    @property
    def flag(self) -> str:
        return f"--{self.key}"

    @property
    def spellings(self) -> tuple[str, ...]:
        """What the command line knows it by: the flag, and for a yes or no the one that denies it."""
        return (self.flag, f"--no-{self.key}") if self.is_switch else (self.flag,)

    @property
    def is_switch(self) -> bool:
        """Whether it is yes or no, so that its flags take no value."""
        return isinstance(self.default, bool)

    @property
    def variable(self) -> str:
        """The environment variable; with `_FILE` appended it names a file that holds the value."""
        return self.env or "ASYNCQ_" + self.key.upper().replace("-", "_")

    @property
    def repeatable(self) -> bool:
        return isinstance(self.default, tuple)

    def shown(self, value: object) -> str:
        """The value as text for people: lists with commas, yes and no as files write them, no password."""
        match value:
            case None:
                return ""
            case bool():
                return str(value).lower()
            case tuple():
                return ",".join(value)
            case float() if value.is_integer():
                return str(int(value))
        return redact(str(value)) if self.secret else str(value)


def _row(name: str, key: str, parser: parse.Parser, default: Any, text: str, **more: Any) -> Setting:
    return Setting(name=name, key=key, parser=parser, default=default, help=text, **more)


_SECONDS: Final = {"unit": "s"}

CATALOGUE: Final[tuple[Setting, ...]] = (
    _row(
        "app",
        "app",
        parse.MODULE,
        None,
        "Module that registers tasks, or MODULE:REGISTRY; default: tasks, if there is a tasks.py.",
    ),
    _row("queues", "queue", parse.NAMES, (), "Queue to work on; default: those of the registered tasks."),
    _row("procs", "procs", parse.auto_or_whole(1, 1024), "auto", "Worker processes; auto: one per usable CPU."),
    _row("per_proc", "per-proc", parse.whole(1, 100_000), 50, "Tasks running at once in each process."),
    _row(
        "preload",
        "preload",
        parse.YES_NO,
        True,
        "Import the app once and fork the workers from it; else each worker imports it by itself.",
    ),
    _row(
        "redis_url",
        "redis",
        parse.REDIS_URL,
        None,
        "Redis; default: localhost:6379 if it answers, else an embedded server.",
        secret=True,
        env="ASYNCQ_REDIS_URL",
        fallback_env="REDIS_URL",
    ),
    _row(
        "redis_server",
        "redis-server",
        parse.text("the path of a server binary", "PATH"),
        None,
        "Server binary for the embedded Redis; default: on PATH, else from asyncq-supervise[embedded].",
    ),
    _row(
        "delivery",
        "delivery",
        parse.choice("at-least-once", "at-most-once"),
        "at-least-once",
        "What a crash may do to a running message: run it again, or lose it.",
    ),
    _row(
        "lease_s",
        "lease",
        parse.duration(1),
        15.0,
        "How long a process that has gone silent keeps its messages.",
        **_SECONDS,
    ),
    _row(
        "on_lease_lost",
        "on-lease-lost",
        parse.choice("continue", "cancel"),
        "continue",
        "What running tasks do whose messages others may have been given: go on and be refused, or be cancelled.",
    ),
    _row(
        "boot_timeout_s",
        "boot-timeout",
        parse.duration(1),
        60.0,
        "A process that is not ready this long after its start is killed and started anew.",
        **_SECONDS,
    ),
    _row(
        "watchdog_s",
        "watchdog",
        parse.duration(1),
        20.0,
        "A worker whose event loop stands still this long does not count as alive.",
        **_SECONDS,
    ),
    _row(
        "crash_loop_exit_s",
        "crash-loop-exit",
        parse.duration(1),
        45.0,
        "After this long of workers that die before they settle anything, exit with code 1.",
        **_SECONDS,
    ),
    _row(
        "redis_give_up_s",
        "redis-give-up",
        parse.duration(0),
        0.0,
        "After this long without an answer of Redis to any process, exit with code 69; 0 = never.",
        **_SECONDS,
    ),
    _row(
        "drain_timeout_s",
        "drain-timeout",
        parse.duration(0),
        25.0,
        "How long running tasks may go on after SIGTERM.",
        **_SECONDS,
    ),
    _row(
        "cancel_timeout_s",
        "cancel-timeout",
        parse.duration(0),
        3.0,
        "How long cancelled tasks may take to end before they are killed.",
        **_SECONDS,
    ),
    _row(
        "unknown_task_park_s",
        "unknown-task-park",
        parse.duration(0),
        600.0,
        "How long a message for an unknown task waits before it becomes a dead letter.",
        **_SECONDS,
    ),
    _row(
        "max_message_bytes",
        "max-message-bytes",
        parse.size(1024),
        1024 * 1024,
        "Larger messages are refused to producers and become dead letters.",
        unit="bytes",
    ),
    _row(
        "metrics_host",
        "metrics-host",
        parse.text("an address or host name", "HOST"),
        "127.0.0.1",
        "Address of /metrics.",
    ),
    _row("metrics_port", "metrics-port", parse.whole(0, 65535), 9464, "Port of /metrics; 0 = any free port."),
    _row(
        "log_format",
        "log-format",
        parse.choice("auto", "text", "json"),
        "auto",
        "auto: text on a terminal, else json.",
    ),
    _row(
        "log_level",
        "log-level",
        parse.choice("DEBUG", "INFO", "WARNING", "ERROR"),
        "INFO",
        "Least level to log.",
    ),
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and where each came from.

    Attributes:
        settings: The values.
        origins: Field name to "command line", a variable, a file's name, or "default".
        folder: The folder the files were looked for in; app modules and the embedded server live there too.
    """

    settings: Settings
    origins: Mapping[str, str]
    folder: Path


@dataclass(frozen=True, slots=True)
class _Found:
    """A raw value and its origin."""

    raw: object
    origin: str


def load(flags: Mapping[str, object], environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Loaded:
    """Make the settings: flag > variable (or X_FILE's file) > asyncq.toml or [tool.asyncq] > default.

    Args:
        flags: Field name to raw value; None and () mean that the flag was not given.
        environ: Default: the environment, read now. An empty variable counts as not set.
        folder: Where asyncq.toml and pyproject.toml are looked for; default: the current folder.

    Raises:
        ConfigurationError: a wrong value, an unknown key, an unreadable file; one sentence.

    Cost: no Redis call; reads at most two small files.
    """
    environ = environment.variables() if environ is None else environ
    folder = Path.cwd() if folder is None else folder
    keys = [setting.key for setting in CATALOGUE]
    table, table_name = settings_file.read_table(folder, keys)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in CATALOGUE:
        found = _from_flags(setting, flags) or _from_environ(setting, environ)
        if found is None and setting.key in table:
            found = _Found(table[setting.key], table_name)
        values[setting.name] = setting.default if found is None else _parsed(setting, found)
        origins[setting.name] = "default" if found is None else found.origin
    return Loaded(Settings(**values), MappingProxyType(origins), folder)


def _parsed(setting: Setting, found: _Found) -> object:
    try:
        return setting.parser.read(found.raw)
    except ValueError:
        raise ConfigurationError(
            f"{setting.flag}: expected {setting.parser.expected}, found {_said(setting, found)} (from {found.origin})"
        ) from None


def _said(setting: Setting, found: _Found) -> str:
    """A wrong value as it was written; of a secret nothing, because nobody knows where in it the password stands."""
    if setting.secret:
        return "something else"
    return repr(",".join(map(str, found.raw)) if isinstance(found.raw, tuple) else found.raw)


def _from_flags(setting: Setting, flags: Mapping[str, object]) -> _Found | None:
    raw = flags.get(setting.name)
    return None if raw is None or raw == () else _Found(raw, "the command line")


def _from_environ(setting: Setting, environ: Mapping[str, str]) -> _Found | None:
    variable, file_variable = setting.variable, setting.variable + "_FILE"
    if environ.get(variable) and environ.get(file_variable):
        raise ConfigurationError(
            f"{setting.flag}: expected one of {variable} and {file_variable}, found both; unset one of them"
        )
    if environ.get(variable):
        return _Found(environ[variable], variable)
    if environ.get(file_variable):
        text = settings_file.read_text(Path(environ[file_variable]), file_variable)
        return _Found(text.strip(), file_variable)
    if setting.fallback_env and environ.get(setting.fallback_env):
        return _Found(environ[setting.fallback_env], setting.fallback_env)
    return None
