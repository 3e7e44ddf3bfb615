"""Processes that own an embedded server, so that tests can kill the owner and look at what is left."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Starts the folder's server as a subprocess and keeps it until standard input ends.
OWNER = """
import pathlib, sys
from asyncq.broker import embedded
with embedded.start(embedded.plan(pathlib.Path.cwd(), sys.argv[1])) as server:
    print(server.url, server.pid, flush=True)
    sys.stdin.read()
"""

# Owns a throw-away server; a forked child tries to stop it and ends.
OWNER_THAT_FORKS = """
import os, sys
from asyncq.broker import embedded
with embedded.start_ephemeral(sys.argv[1]) as server:
    child = os.fork()
    if child == 0:
        server.stop()
        os._exit(0)
    os.waitpid(child, 0)
    print(server.url, server.plan.data, flush=True)
    sys.stdin.read()
"""

# Becomes the folder's server, as a child of the supervisor does; with a second argument not before it is told to.
BECOMER = """
import pathlib, sys
from asyncq.broker import embedded
plan = embedded.plan(pathlib.Path.cwd(), sys.argv[1])
if len(sys.argv) > 2:
    print("planned", flush=True)
    sys.stdin.readline()
embedded.exec_server(plan)
"""

# Has a child that becomes the server, and waits for it.
PARENT_OF_BECOMER = f"""
import subprocess, sys
sys.exit(subprocess.call([sys.executable, "-c", {BECOMER!r}, *sys.argv[1:]]))
"""


def python(code: str, *arguments: str, folder: Path) -> "subprocess.Popen[str]":
    """Run `code` in `folder` with pipes for input and output."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: "subprocess.Popen[str]") -> None:
    """Kill it if it still runs, and close its pipes."""
    if process.poll() is None:
        process.kill()
    process.communicate()


def recorded(folder: Path) -> dict[str, object]:
    """What the folder's record says about its server."""
    facts: dict[str, object] = json.loads((folder / ".asyncq" / "redis.json").read_text())
    return facts


def is_alive(pid: int) -> bool:
    """Whether a process runs under this id; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
