"""The frame of every maintenance loop."""

import asyncio
import logging
from random import Random

import pytest

from asyncq.core.contact import Contact
from asyncq.core.errors import BrokerRefusedError, BrokerUnavailableError
from asyncq.maintenance import loops
from asyncq.maintenance.loops import forever
from tests.support.states import until


async def test_a_loop_goes_on_when_redis_is_away_or_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "REFUSED_PAUSE_S", 0.01)
    faults = iter([BrokerUnavailableError("away"), BrokerRefusedError("refused"), None])
    rounds = 0

    async def step() -> float:
        nonlocal rounds
        rounds += 1
        fault = next(faults, None)
        if fault is not None:
            raise fault
        return 0.0

    task = asyncio.ensure_future(forever(step, Contact(Random(1))))
    try:
        await until(lambda: rounds > 4)
    finally:
        task.cancel()


async def test_a_refused_loop_pauses_and_says_nothing_of_redis_being_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    contact = Contact(Random(1))
    asked = answered = 0

    async def refused() -> float:
        nonlocal asked
        asked += 1
        raise BrokerRefusedError("WRONGTYPE")

    async def served() -> float:
        nonlocal answered
        answered += 1
        contact.made()
        return 0.002

    tasks = [asyncio.ensure_future(forever(step, contact)) for step in (refused, served)]
    try:
        await until(lambda: answered > 15)
    finally:
        for task in tasks:
            task.cancel()

    assert 1 == asked
    assert ["redis refuses, trying again"] == [record.message for record in caplog.records]
