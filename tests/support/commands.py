"""The real command line in a process of its own, with none of this machine's settings."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "redis://127.0.0.1:1/0"  # a port on which nothing listens


def clean_environ(**more: str) -> dict[str, str]:
    """This process's environment without any asyncq setting."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ASYNCQ_") and key != "REDIS_URL"}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def start_asyncq(*arguments: str, folder: Path, **environ: str) -> "subprocess.Popen[str]":
    """Start `asyncq ARGUMENTS` in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "asyncq", *arguments],
        cwd=folder,
        env=clean_environ(**environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def asyncq(*arguments: str, folder: Path, said: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run `asyncq ARGUMENTS` in a folder to its end; `said` is its standard input."""
    process = start_asyncq(*arguments, folder=folder, **environ)
    try:
        out, err = process.communicate(said, timeout=30)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def skip_if_redis_on_localhost() -> None:
    """For tests of what happens when nothing answers there."""
    try:
        socket.create_connection(("127.0.0.1", 6379), 0.3).close()
    except OSError:
        return
    pytest.skip("something answers on localhost:6379")
