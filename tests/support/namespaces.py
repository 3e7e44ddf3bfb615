"""A PID namespace, as a container has one: the command that makes a command its process 1. Needs root on Linux."""

import functools
import subprocess
from typing import Final

import pytest

PID_1: Final = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def as_pid_1(*flags: str) -> tuple[str, ...]:
    """Put before a command, it runs that as process 1; who kills the wrapper kills it. Skips where that is not allowed.

    Args:
        flags: More of unshare's, for example "--mount".
    """
    wrapper = (*PID_1, *flags)
    if why := _refusal(wrapper):
        pytest.skip(f"this system lets us make no namespace: {why}")
    return wrapper


@functools.cache
def _refusal(wrapper: tuple[str, ...]) -> str:
    """Empty when it works."""
    try:
        done = subprocess.run([*wrapper, "true"], capture_output=True, text=True)
    except OSError as error:  # there is no such program
        return str(error)
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else ""
