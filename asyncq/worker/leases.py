"""Leases: registers this process on its queues, keeps the leases alive, takes a new incarnation when one was reaped.

The last thing that stops in a drain: a message whose handler still runs must not be handed to somebody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from asyncq.core import clock
from asyncq.core.contact import Contact
from asyncq.core.doors import Broker, Slot
from asyncq.core.errors import BrokerError, BrokerRefusedError, RegistrationLostError
from asyncq.worker.feeder import Feeder

log = logging.getLogger("asyncq.worker")


class Leases:
    """One per worker, at-least-once only.

    Args:
        broker: Registers incarnations.
        queues: What this process consumes.
        slot: Every incarnation is written there before it is registered, so that whoever sees the process die
            knows what to hand back.
        renew_s: Seconds between renewals.
        lease_s: Seconds a lease lasts.
        contact: Waits when Redis is away.
    """

    def __init__(
        self, broker: Broker, queues: Sequence[str], slot: Slot, renew_s: float, lease_s: float, contact: Contact
    ) -> None:
        self._broker, self._slot, self._contact = broker, slot, contact
        self._renew_s, self._lease_s = renew_s, lease_s
        self._missing = list(queues)
        self._changed = asyncio.Event()

    def lost(self, queue: str) -> None:
        """The incarnation on this queue was reaped: register anew."""
        self._missing.append(queue)
        self._changed.set()

    async def run(self, feeder: Feeder) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._register(feeder)
                await self._renew(feeder)
            except BrokerError as error:
                await self._contact.failed(error)
                continue
            except RegistrationLostError:  # reaped between a registration whose reply was lost and this one
                continue
            try:
                async with asyncio.timeout(self._renew_s):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()

    async def _register(self, feeder: Feeder) -> None:
        """One incarnation for all that is missing now; what is lost meanwhile is not on the page: it gets the next one.

        A refused queue stays missing and keeps no other from being registered.
        """
        missing = list(self._missing)
        if not missing:
            return
        wid = self._broker.incarnation()
        held = [(lane.registration.wid, [lane.queue]) for lane in feeder.lanes]
        self._slot.set_incarnations([*held, (wid, missing)])
        for queue in missing:
            asked_mono = clock.mono_s()
            try:
                registration = await self._broker.register(queue, wid)
            except BrokerRefusedError as error:
                self._contact.refused(error)
                continue
            feeder.add(registration).kept_until_mono = asked_mono + self._lease_s
            self._missing.remove(queue)
            self._contact.made()
            log.debug("registered", extra={"queue": queue, "wid": wid})

    async def _renew(self, feeder: Feeder) -> None:
        for lane in list(feeder.lanes):
            try:
                async with lane.lock:
                    asked_mono = clock.mono_s()
                    alive = await lane.registration.renew()
            except BrokerRefusedError as error:  # of this queue alone
                self._contact.refused(error)
                continue
            self._contact.made()
            if alive:
                lane.kept_until_mono = asked_mono + self._lease_s
            else:
                lane.rang = True  # the next exchange finds out, too, and drops the lane
                feeder.kick()
