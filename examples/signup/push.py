"""Puts the events of a file into the queue, one RPUSH each, as fast as asked for.

Called by `__main__`. Reads the file, enqueues, tells a callback how far it is; shows nothing itself.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from asyncq import ConfigurationError
from examples.signup.event import Event, problem_with
from examples.signup.tasks import process_signup


def read_events(path: Path, count: int | None = None) -> list[Event]:
    """The first `count` events of a file with one JSON object per line; all of them without `count`.

    Raises:
        ConfigurationError: the file cannot be read, a line is no event, or there are fewer than `count`.
    """
    try:
        *lines, rest = path.read_text(encoding="utf-8").split("\n")  # not splitlines(): JSON may hold U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--file {path}: expected a readable UTF-8 file, found {error}") from None
    if rest:
        lines.append(rest)
    if count is not None and count > len(lines):
        raise ConfigurationError(f"--count: expected at most {len(lines)}, the events in {path}, found {count}")
    return [_parse(path, number, line) for number, line in enumerate(lines[:count], start=1)]


def _parse(path: Path, number: int, line: str) -> Event:
    try:
        event: Event = json.loads(line)
    except ValueError as error:
        raise ConfigurationError(f"{path}:{number}: expected a JSON object, found {error}") from None
    problem = problem_with(event)
    if problem:
        raise ConfigurationError(f"{path}:{number}: {problem}")
    return event


def delay_s(number: int, rate: float | None, elapsed_s: float) -> float:
    """Seconds to wait before event `number` (from 0) so that `rate` events per second are not exceeded."""
    return 0.0 if rate is None else max(0.0, number / rate - elapsed_s)


async def push_events(events: Sequence[Event], rate: float | None, progress: Callable[[int], None]) -> None:
    """Enqueue a `user_signup` per event.

    Args:
        rate: Events per second; None for as fast as Redis takes them.
        progress: Is told how many have been enqueued, after each.

    Raises:
        BrokerError: Redis could not be reached; `progress` knows how far it got.

    Cost: 1 RPUSH per event.
    """
    started = time.monotonic()
    for number, event in enumerate(events):
        wait_s = delay_s(number, rate, time.monotonic() - started)
        if wait_s:
            await asyncio.sleep(wait_s)
        await process_signup.enqueue(event)
        progress(number + 1)
