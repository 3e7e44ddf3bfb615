"""Where the embedded server of a folder lives, and what it is told: the plan, the configuration, the record.

Called by `broker.embedded`, which acts on it. Data lies in `.asyncq/` of the folder; the unix socket in a private
folder under the temporary directory, because a socket path is limited to about a hundred bytes and a project's
path is not. Starts and stops nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from asyncq.broker.embedded_binary import ServerBinary, find_binary
from asyncq.broker.ping import ping
from asyncq.core.errors import ConfigurationError

DATA_FOLDER: Final = ".asyncq"
MAX_SOCKET_PATH_BYTES: Final = 107 if sys.platform == "linux" else 103
PING_TIMEOUT_S: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPlan:
    """Where a folder's server runs, or would run.

    Attributes:
        data: Folder of its data, configuration, log and record.
        socket: Path of its unix socket; always the same for a folder, so that clients outlive a restart.
        running: True if it answers now, whoever started it.
        binary: What would be started; None while one runs.
        persistent: False for a throw-away server without an append-only file.
    """

    data: Path
    socket: str
    running: bool
    binary: ServerBinary | None
    persistent: bool = True

    @property
    def url(self) -> str:
        return f"unix://{quote(self.socket)}"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.data / "redis.log"


def find_running(folder: Path) -> str | None:
    """URL of the server that runs for `folder`, None if there is none. Cost: 1 PING."""
    running = running_socket(folder / DATA_FOLDER)
    return None if running is None else f"unix://{quote(running)}"


def plan(folder: Path, configured: str | None = None) -> EmbeddedPlan:
    """The running server of `folder`, or what has to be started. Makes no folder and starts nothing.

    Args:
        folder: The current folder of the command.
        configured: The setting `--redis-server`.

    Raises:
        ConfigurationError: none runs and there is no binary to start.

    Cost: 1 PING.
    """
    data = folder.absolute() / DATA_FOLDER
    running = running_socket(data)
    if running is not None:
        return EmbeddedPlan(data=data, socket=running, running=True, binary=None)
    binary = find_binary(configured)
    return EmbeddedPlan(data=data, socket=socket_path(folder), running=False, binary=binary)


def socket_path(folder: Path) -> str:
    """Where the socket of a folder lies: short, one per user and folder, under the temporary directory.

    Raises:
        ConfigurationError: this machine has no temporary directory that can be written.
    """
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError:
        raise ConfigurationError(
            "embedded Redis: expected a temporary folder for its socket, found none that can be written; "
            "name a Redis with --redis or ASYNCQ_REDIS_URL, or set TMPDIR"
        ) from None
    for base in (temporary, "/tmp"):
        path = os.path.join(base, f"asyncq-{os.getuid()}-{digest}", "redis.sock")
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return path
    raise AssertionError("a path below /tmp is short enough")


def config_text(plan: EmbeddedPlan) -> bytes:
    """The server's configuration file. Pure."""
    lines = {
        b"port": b"0",
        b"unixsocket": _quoted(plan.socket),
        b"unixsocketperm": b"700",
        b"dir": _quoted(str(plan.data)),
        b"save": b'""',
        b"appendonly": b"yes" if plan.persistent else b"no",
        b"appendfsync": b"everysec",
        # Commands instead of a snapshot in the file: every server version and both makes can read it back.
        b"aof-use-rdb-preamble": b"no",
        b"loglevel": b"warning",
        b"daemonize": b"no",
    }
    return b"".join(key + b" " + value + b"\n" for key, value in lines.items())


def _quoted(text: str) -> bytes:
    """As the server's configuration reads it: double quotes, everything unusual as \\xHH."""
    plain = b"".join(
        bytes([byte]) if 32 <= byte < 127 and byte not in b'"\\' else b"\\x%02x" % byte for byte in os.fsencode(text)
    )
    return b'"' + plain + b'"'


def prepare(plan: EmbeddedPlan) -> list[str]:
    """Make folders and configuration, under the lock; the command that runs the server."""
    if plan.binary is None:
        raise ConfigurationError("embedded Redis: expected a plan with a binary, found a running server")
    _make_private(os.path.dirname(plan.socket))
    config = plan.data / "redis.conf"
    _write_atomically(config, config_text(plan))
    _write_atomically(plan.data / ".gitignore", b"*\n")
    return [plan.binary.path, str(config)]


def _make_private(folder: str) -> None:
    """A folder that only we can enter: the temporary directory belongs to everybody."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise ConfigurationError(
                f"embedded Redis: expected a folder of ours at {folder}, found something that is not; "
                "remove it, or set TMPDIR or ASYNCQ_REDIS_URL"
            ) from None
        os.chmod(folder, 0o700)


def record(plan: EmbeddedPlan, pid: int, owner_pid: int) -> None:
    """Leave word for other commands in the folder. It stays after the end: who reads it asks with a PING."""
    facts: dict[str, object] = {"socket": plan.socket, "pid": pid, "owner_pid": owner_pid}
    if plan.binary is not None:
        facts |= {"binary": plan.binary.path, "version": plan.binary.version}
    _write_atomically(plan.data / "redis.json", json.dumps(facts).encode() + b"\n")


def running_socket(data: Path) -> str | None:
    """Socket of the server that answers for this data folder and is going to stay; None if there is none."""
    try:
        facts: Any = json.loads((data / "redis.json").read_bytes())
    except (OSError, ValueError):
        return None
    path = facts.get("socket") if isinstance(facts, dict) else None
    if not isinstance(path, str) or _is_abandoned(facts):
        return None
    return path if ping(path, PING_TIMEOUT_S).startswith(("+PONG", "-LOADING")) else None


def _is_abandoned(facts: dict[str, Any]) -> bool:
    """Whether the server's owner is gone: it still answers for a tenth of a second, then follows its owner.

    Seen by the server's parent no longer being the recorded one. Where that cannot be seen (another system than
    Linux, another container) the server is taken to stay.
    """
    try:
        stat_line = Path(f"/proc/{int(facts['pid'])}/stat").read_text()
        return int(stat_line.rpartition(")")[2].split()[1]) != int(facts["owner_pid"])
    except (OSError, KeyError, ValueError, TypeError, IndexError):
        return False


def _write_atomically(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    os.replace(draft, path)
