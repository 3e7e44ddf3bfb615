"""The keeper: hands back at once what a dead child held, and keeps the leases of the living ones.

Runs in a process of its own under a supervisor, which tells it who lives and who died; `Maintenance` is the part
that also runs inside a worker without a supervisor. Never decides that a child is dead: the supervisor saw it die.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from asyncq.core.blame import Blame
from asyncq.core.contact import Contact
from asyncq.core.doors import Broker, Observer
from asyncq.core.errors import BrokerError, BrokerRefusedError
from asyncq.maintenance.loops import REFUSED_PAUSE_S, forever
from asyncq.maintenance.promoter import Promoter
from asyncq.maintenance.reaper import Reaper, shown, tell

log = logging.getLogger("asyncq.maintenance")

Incarnations = Sequence[tuple[str, Sequence[str]]]


class Maintenance:
    """Promoter and reaper of each queue, started as queues become known.

    Args:
        broker: Speaks to Redis.
        observer: Is told of redelivered messages.
        contact: Waits while Redis is away.

    Attributes:
        supervised: Incarnations of processes whose end a supervisor sees, and judges better than a look-around can.
    """

    def __init__(self, broker: Broker, observer: Observer, contact: Contact) -> None:
        self._broker, self._observer, self._contact = broker, observer, contact
        self.supervised: set[str] = set()
        self._known: dict[str, bool] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self, queues: Iterable[str] = ()) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self.add(queues)
            await asyncio.Event().wait()

    def add(self, queues: Iterable[str]) -> None:
        """Care for these queues from now on, or from the moment `run` begins."""
        for queue in queues:
            self._known.setdefault(queue, False)
        if self._group is None:
            return
        for queue in [name for name, started in self._known.items() if not started]:
            self._known[queue] = True
            self._group.create_task(Promoter(self._broker, queue, self._contact).run())
            reaper = Reaper(self._broker, queue, self._observer, self._contact, supervised=self.supervised)
            self._group.create_task(reaper.run())


class Keeper:
    """Carries out the supervisor's orders.

    Args:
        broker: Speaks to Redis.
        maintenance: Learns of queues through the orders.
        observer: Is told of redelivered messages.
        confirm: Sends one message to the supervisor.
        renew_s: Seconds between renewals of the living children's leases.
        contact: Waits while Redis is away.
    """

    def __init__(
        self,
        broker: Broker,
        maintenance: Maintenance,
        observer: Observer,
        confirm: Callable[[dict[str, Any]], None],
        renew_s: float,
        contact: Contact,
    ) -> None:
        self._broker, self._maintenance, self._observer = broker, maintenance, observer
        self._confirm, self._renew_s, self._contact = confirm, renew_s, contact
        self._living: Incarnations = ()
        self._orders: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def order(self, message: dict[str, Any]) -> None:
        """One message of the supervisor: `live` (who lives now) or `reap` (hand back, then confirm).

        A reap may name a `culprit` (queue, wid, token): the only message that is to blame, of all the process held.
        """
        queues = [queue for _, names in message["incarnations"] for queue in names]
        self._maintenance.add(queues)
        self._maintenance.supervised.update(wid for wid, _ in message["incarnations"])
        if message["type"] == "live":
            self._living = message["incarnations"]
        else:
            self._orders.put_nowait(message)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(forever(self._renew, self._contact))
            group.create_task(self._carry_out())

    async def _renew(self) -> float:
        for wid, queues in self._living:
            for queue in queues:
                try:
                    await self._broker.renew(queue, wid)
                except BrokerRefusedError as error:  # spoils only its own queue
                    self._contact.refused(error)
                else:
                    self._contact.made()
        return self._renew_s

    async def _carry_out(self) -> None:
        """One order after the other. What Redis refuses of one waits behind the others; only all of it confirms it."""
        while True:
            order = await self._orders.get()
            wanted = [(wid, queue) for wid, queues in order["incarnations"] for queue in queues]
            refused = [
                (wid, [queue])
                for wid, queue in wanted
                if not await self._reap(queue, wid, *_accused(order, queue, wid))
            ]
            if refused:
                again = {**order, "incarnations": refused}
                asyncio.get_running_loop().call_later(REFUSED_PAUSE_S, self._orders.put_nowait, again)
            else:
                self._maintenance.supervised.difference_update(wid for wid, _ in wanted)
                self._confirm({"type": "reaped", "seq": order["seq"]})

    async def _reap(self, queue: str, wid: str, blame: Blame, culprit: int) -> bool:
        """Hand back what an incarnation held, however long Redis is away. False if Redis refuses."""
        while True:
            try:
                reaped = await self._broker.reap(queue, wid, forced=True, blame=blame, culprit=culprit)
                break
            except BrokerRefusedError as error:
                self._contact.refused(error)
                return False
            except BrokerError as error:
                await self._contact.failed(error)
        self._contact.made()
        if reaped is not None:
            tell(self._observer, queue, reaped, "redelivered")
            if reaped.count:
                log.info("given back", extra={"queue": queue, "wid": wid, **shown(reaped)})
        return True


def _accused(order: dict[str, Any], queue: str, wid: str) -> tuple[Blame, int]:
    """What a reap holds against the messages of one incarnation on one queue: how much, and only against this token."""
    culprit = order.get("culprit")
    if culprit is None:
        return Blame[order["blame"].upper()], 0
    if (culprit["queue"], culprit["wid"]) == (queue, wid):
        return Blame.NOBODY, int(culprit["token"])
    return Blame.NOBODY, 0
