"""The bell: rings once for a message, is silent after it was hushed, and is never in two waits."""

import asyncio
from random import Random

from asyncq.core.contact import Contact
from asyncq.worker.bell import Bell
from tests.support.memory_broker import MemoryBroker
from tests.support.states import until


async def make() -> tuple[MemoryBroker, Bell, list[bool]]:
    broker, ends = MemoryBroker(), []
    registration = await broker.register("q", "w1")
    return broker, Bell(registration, Contact(Random(1)), ends.append), ends


async def test_it_rings_when_a_message_comes() -> None:
    broker, bell, ends = await make()
    bell.listen()
    bell.listen()
    await until(lambda: broker.registrations[0].waiting)
    broker.queues["q"].push(b"x")
    await until(lambda: ends)

    assert [True] == ends


async def test_it_is_silent_after_it_was_hushed() -> None:
    broker, bell, ends = await make()
    bell.listen()
    await until(lambda: broker.registrations[0].waiting)
    async with asyncio.timeout(2):
        await bell.hush()

    assert ([False], False) == (ends, broker.registrations[0].waiting)


def hushing() -> bool:
    return any(task.get_name() == "hush" for task in asyncio.all_tasks())


async def test_whoever_listens_before_an_older_wish_has_begun_is_not_hushed_by_it() -> None:
    broker, bell, ends = await make()
    bell.listen()
    await until(lambda: broker.registrations[0].waiting)
    bell.hush_soon()
    bell.listen()
    await until(lambda: not hushing())

    assert ([], True) == (ends, broker.registrations[0].waiting)
    broker.queues["q"].push(b"x")
    await until(lambda: ends)
    assert [True] == ends


async def test_whoever_listens_while_an_older_wish_is_being_carried_out_ends_it() -> None:
    broker, bell, ends = await make()
    broker.waking = "lost"
    bell.listen()
    await until(lambda: broker.registrations[0].waiting)
    bell.hush_soon()
    await until(lambda: broker.registrations[0].wakes)
    bell.listen()
    broker.waking = "done"
    await until(lambda: not hushing())

    assert ([], 1) == (ends, broker.registrations[0].wakes)
    broker.queues["q"].push(b"x")
    await until(lambda: ends)
    assert [True] == ends


async def test_an_outage_ends_the_wait() -> None:
    broker, bell, ends = await make()
    broker.away = True
    bell.listen()
    await until(lambda: ends)

    assert [False] == ends


async def test_closing_ends_a_wait_that_nobody_hushed() -> None:
    broker, bell, ends = await make()
    bell.listen()
    await until(lambda: broker.registrations[0].waiting)
    async with asyncio.timeout(2):
        await bell.close()

    assert ([False], False, True) == (ends, broker.registrations[0].waiting, broker.registrations[0].closed)


async def test_closing_soon_hushes_first() -> None:
    broker, bell, ends = await make()
    bell.listen()
    await until(lambda: broker.registrations[0].waiting)
    bell.close_soon()
    await until(lambda: broker.registrations[0].closed)

    assert ([False], 1) == (ends, broker.registrations[0].wakes)


async def test_closing_soon_closes_also_when_hushing_failed() -> None:
    broker, bell, ends = await make()
    broker.waking = "refused"
    bell.listen()
    await until(lambda: broker.registrations[0].waiting)
    bell.close_soon()
    await until(lambda: broker.registrations[0].closed)

    assert ([False], False) == (ends, broker.registrations[0].waiting)
