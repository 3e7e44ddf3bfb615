"""Waiting for states instead of sleeping."""

import asyncio
import time
from collections.abc import Callable
from typing import Any


async def until(state: Callable[[], Any], timeout_s: float = 5.0, what: str = "") -> Any:
    """Wait in the event loop until `state()` is true and return it."""
    deadline = time.monotonic() + timeout_s
    while not (found := state()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or state}")
        await asyncio.sleep(0.002)
    return found


def wait_until(state: Callable[[], Any], timeout_s: float = 10.0, what: str = "") -> Any:
    """The same without an event loop."""
    deadline = time.monotonic() + timeout_s
    while not (found := state()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or state}")
        time.sleep(0.01)
    return found
