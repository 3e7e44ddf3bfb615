"""What is said about Redis and how often, and how long nobody asks it again."""

import asyncio
import logging
from random import Random

import pytest

from asyncq.core.contact import Contact
from asyncq.core.errors import BrokerError, BrokerRefusedError, BrokerUnavailableError

AWAY = BrokerUnavailableError("nobody there")
REFUSED = BrokerRefusedError("wrong type")


class LongestDraw(Random):
    """Draws the upper limit."""

    def uniform(self, a: float, b: float) -> float:
        return b


@pytest.fixture
def waits_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was slept, without sleeping it."""
    slept: list[float] = []

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


async def test_an_outage_is_said_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answered: list[bool] = []
    contact = Contact(Random(1), lambda: answered.append(True))
    for _ in range(3):
        await contact.failed(BrokerUnavailableError("nobody there"))
    contact.made()
    contact.made()

    assert ["redis is away, trying again", "redis is back"] == [record.message for record in caplog.records]
    assert "nobody there" == caplog.records[0].error  # type: ignore[attr-defined]
    assert [True, True] == answered


async def test_a_refusal_is_neither_said_to_be_over_nor_hides_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    contact = Contact(Random(1))
    await contact.failed(BrokerRefusedError("wrong type"))
    contact.made()  # another queue was answered
    await contact.failed(BrokerRefusedError("wrong type"))
    await contact.failed(BrokerUnavailableError("nobody there"))
    contact.made()

    assert ["redis refuses, trying again", "redis is away, trying again", "redis is back"] == [
        record.message for record in caplog.records
    ]


async def test_each_refusal_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    contact = Contact(Random(1))
    for text in ("wrong type", "no rights", "wrong type"):
        await contact.failed(BrokerRefusedError(text))
        contact.made()

    said = [record.error for record in caplog.records if record.levelno == logging.ERROR]  # type: ignore[attr-defined]
    assert ["wrong type", "no rights"] == said


@pytest.mark.parametrize("error", [AWAY, REFUSED])
async def test_each_failure_is_waited_for_longer(waits_s: list[float], error: BrokerError) -> None:
    contact = Contact(LongestDraw())
    for _ in range(3):
        await contact.failed(error)

    assert [0.05, 0.1, 0.2] == pytest.approx(waits_s)


async def test_an_answer_shortens_the_wait_of_an_outage_but_of_no_refusal(waits_s: list[float]) -> None:
    contact = Contact(LongestDraw())
    for error in (AWAY, AWAY, REFUSED, REFUSED):
        await contact.failed(error)
    contact.made()
    for error in (AWAY, REFUSED):
        await contact.failed(error)

    assert [0.05, 0.1, 0.05, 0.1, 0.05, 0.2] == pytest.approx(waits_s)
