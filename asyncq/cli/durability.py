"""Says once, beside a start that does not wait for it, what this Redis can lose: a line each, or an event in JSON.

Called in the keeper of a supervisor and by `asyncq worker`. Redis may be away for as long as it likes.
"""

from __future__ import annotations

import asyncio
import logging
from random import Random

from asyncq.broker import durability
from asyncq.broker.connection import ConnectionSettings
from asyncq.cli import output
from asyncq.core import logs
from asyncq.core.backoff import Backoff
from asyncq.core.errors import BrokerError
from asyncq.core.settings import Settings

log = logging.getLogger("asyncq.redis")


async def say_durability(settings: Settings, redis_url: str, *, embedded: bool) -> None:
    """Ask until Redis answers, then say it.

    Args:
        settings: For the form of the log.
        redis_url: Which Redis.
        embedded: It is ours and for development: only warnings are worth a line.
    """
    for finding in await _asked(redis_url):
        if finding.warning or not embedded:
            _say(settings, finding)


async def _asked(redis_url: str) -> list[durability.Finding]:
    """That Redis is away, or refuses, is said by those who need it for their work."""
    backoff = Backoff(Random())
    while True:
        try:
            return await durability.ask(ConnectionSettings(redis_url))
        except BrokerError:
            await asyncio.sleep(backoff.next_s())


def _say(settings: Settings, finding: durability.Finding) -> None:
    if logs.as_text(settings.log_format):
        output.talk(f"  {'WARNING' if finding.warning else 'redis':10} this Redis {finding.text}")
        return
    level = logging.WARNING if finding.warning else logging.INFO
    log.log(level, "what redis can lose", extra={"finding": finding.text})
